import { HoldfastError } from '../base/errors.ts'

/** The message was not stored. Nothing of it exists anywhere: safe to add again or to refuse the work. */
export class QueueUnavailable extends HoldfastError {
  constructor(what: string, options?: ErrorOptions & { mend?: string }) {
    const mend = options?.mend ?? "try again when Redis answers, or set whenDown: 'spill'"
    super('QUEUE_UNAVAILABLE', what, mend, options)
  }
}

/** No answer in time: the message may be stored or not. Add it again **with the same id**. */
export class QueueUncertain extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super('QUEUE_UNCERTAIN', what, 'add it again with the same id, so that two are one', options)
  }
}

/** The bound on depth or age, or on the spill file, is reached: the workers do not keep up. */
export class QueueFull extends HoldfastError {
  /** Which bound. */
  readonly bound: 'depth' | 'age' | 'spill'
  constructor(bound: 'depth' | 'age' | 'spill', what: string) {
    super('QUEUE_FULL', what, 'slow down, add workers, or raise pressure')
    this.bound = bound
  }
}

/** The payload cannot be stored: too large, not serialisable, or against the schema. */
export class InvalidMessage extends HoldfastError {
  /** Path of the field as in `items.3.name`; empty for the message itself. */
  readonly field: string
  constructor(field: string, what: string, options?: ErrorOptions) {
    super('INVALID_MESSAGE', what, 'mend the payload', options)
    this.field = field
  }
}

/** The server cannot keep the promise that `durability` asks for, or the queue was made otherwise. */
export class QueueMismatch extends HoldfastError {
  constructor(what: string, mend: string, options?: ErrorOptions) {
    super('QUEUE_MISMATCH', what, mend, options)
  }
}

/** The time of a transaction is over: it may be committed or not. Repeating it is safe, that is its point. */
export class ApplyTimeout extends HoldfastError {
  constructor(ms: number) {
    super(
      'APPLY_TIMEOUT',
      `the database did not finish within ${ms} ms`,
      'look at the database, or raise the timeout',
    )
  }
}
