import type { Grant } from './store.ts'

/** What a routine gets: a function that runs a part once, and what it should know about this run. */
export interface Step {
  /**
   * Runs `fn` and keeps its result with the record. When an earlier run under this key got that far,
   * its result is handed back instead and `fn` is not called. Names are unique within a run.
   * @throws OnceSuperseded, OnceUnavailable, InvalidValue when the result cannot be kept
   */
  <T>(name: string, fn: () => T | Promise<T>): Promise<T>
  /** Aborts when another run may have taken over. Hand it to what you call. */
  readonly signal: AbortSignal
  /** Rises with every run under this key. Write it beside the data and refuse smaller ones. */
  readonly fencingToken: number
  /** 1 for the first run under this key. */
  readonly attempt: number
  /** What became of the run before: a crash leaves open whether its last step took effect. */
  readonly before: 'none' | 'crashed' | 'failed'
  /** The last step of earlier runs that ended, with its result. */
  readonly checkpoint: { readonly name: string; readonly value: unknown } | undefined
  /** A key for the `Idempotency-Key` of what a step calls: the same in every run. */
  idempotencyKey(step: string): string
}

export interface StepParts {
  readonly key: string
  readonly grant: Grant
  readonly before: Step['before']
  readonly checkpoint: Step['checkpoint']
  readonly signal: AbortSignal
  perform<T>(name: string, fn: () => T | Promise<T>): Promise<T>
}

export function makeStep(parts: StepParts): Step {
  const step = <T>(name: string, fn: () => T | Promise<T>) => parts.perform(name, fn)
  return Object.assign(step, {
    signal: parts.signal,
    fencingToken: parts.grant.fence,
    attempt: parts.grant.attempt,
    before: parts.before,
    checkpoint: parts.checkpoint,
    idempotencyKey: (name: string) => `${parts.key}:${name}`,
  })
}
