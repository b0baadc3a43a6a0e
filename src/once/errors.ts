import { HoldfastError } from '../base/errors.ts'

/** What the routine returned, where it had ended by the time of the error: its work is done. */
export interface Outcome {
  readonly value: unknown
}

/** The record of the run could not be read or written; see `outcome` for whether the work was done. */
export class OnceUnavailable extends HoldfastError {
  readonly outcome: Outcome | undefined
  constructor(what: string, options?: ErrorOptions & { outcome?: Outcome }) {
    super('ONCE_UNAVAILABLE', what, 'try again when Redis answers; see health() for the cause', options)
    this.outcome = options?.outcome
  }
}

/** Another run under this key has not ended: the 409 of an idempotent endpoint. */
export class OnceRunning extends HoldfastError {
  /** When its lease ends unless it is renewed, in ms from now. */
  readonly retryAfter: number
  constructor(retryAfter: number) {
    super('ONCE_RUNNING', 'another run under this key has not ended', 'ask again later, or set wait')
    this.retryAfter = retryAfter
  }
}

/** The key was used before with another payload: the 422 of an idempotent endpoint. */
export class OnceMismatch extends HoldfastError {
  constructor() {
    super(
      'ONCE_MISMATCH',
      'this key was used before with another payload',
      'use a new key for a new request, and the same payload for a repeated one',
    )
  }
}

/** A run died without a word: nobody knows whether it took effect. */
export class OnceIndeterminate extends HoldfastError {
  /** How many runs were begun under this key. */
  readonly attempts: number
  constructor(attempts: number) {
    super(
      'ONCE_INDETERMINATE',
      'a run under this key died before it ended',
      "find out what it did and call resolve(), or choose onCrash: 'recover' or 'retry'",
    )
    this.attempts = attempts
  }
}

/** The run failed for good, now or earlier. */
export class OnceFailed extends HoldfastError {
  /** Name of the error that the routine threw. */
  readonly failure: string
  constructor(failure: string, message: string) {
    super('ONCE_FAILED', `the run under this key failed for good: ${message}`, 'use a new key to try anew')
    this.failure = failure
  }
}

/** It ended well, but its result was too large or not serialisable to be kept for later callers. */
export class OnceNoResult extends HoldfastError {
  constructor() {
    super(
      'ONCE_NO_RESULT',
      'the run under this key ended well, but its result could not be kept',
      'return a reference to a large result, or plain data; or raise maxResultBytes',
    )
  }
}

/** Another run, or an operator, took over: what this one did was not recorded. */
export class OnceSuperseded extends HoldfastError {
  readonly outcome: Outcome | undefined
  constructor(outcome?: Outcome) {
    super(
      'ONCE_SUPERSEDED',
      'another run or an operator took over this key',
      'check the fencing token where you write, and keep the event loop free',
    )
    this.outcome = outcome
  }
}
