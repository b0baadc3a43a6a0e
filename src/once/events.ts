import type { Clock } from '../base/clock.ts'
import { type ErrorCode, HoldfastError } from '../base/errors.ts'
import { eventChannel } from '../base/events.ts'

/** One call of `once` ended. Never a key, a payload or a result. */
export interface OnceEvent {
  /**
   * What a call came to. `ran`: its routine ran and its end is recorded. `threw`: its routine threw.
   * `repeated`: it got a kept result. The rest are the errors of the same name.
   */
  readonly outcome:
    | 'ran'
    | 'threw'
    | 'repeated'
    | 'running'
    | 'mismatch'
    | 'indeterminate'
    | 'failed'
    | 'no-result'
    | 'superseded'
    | 'unavailable'
  /** From the call to its end. */
  readonly ms: number
}

export const onceEvents = eventChannel<OnceEvent>('holdfast:once:event')

/** Whether the routine of this call began. */
export interface Note {
  began: boolean
}

/** Says what the call came to, to those who listen. */
export async function told<T>(clock: Clock, call: (note: Note) => Promise<T>): Promise<T> {
  const note: Note = { began: false }
  const started = clock.mono()
  const tell = (outcome: OnceEvent['outcome']) => {
    if (onceEvents.active) onceEvents.publish({ outcome, ms: clock.mono() - started })
  }
  try {
    const value = await call(note)
    tell(note.began ? 'ran' : 'repeated')
    return value
  } catch (error) {
    const known = error instanceof HoldfastError ? OUTCOMES[error.code] : undefined
    if (known ?? note.began) tell(known ?? 'threw')
    throw error
  }
}

const OUTCOMES: { readonly [Code in ErrorCode]?: OnceEvent['outcome'] } = {
  ONCE_RUNNING: 'running',
  ONCE_MISMATCH: 'mismatch',
  ONCE_INDETERMINATE: 'indeterminate',
  ONCE_FAILED: 'failed',
  ONCE_NO_RESULT: 'no-result',
  ONCE_SUPERSEDED: 'superseded',
  ONCE_UNAVAILABLE: 'unavailable',
}
