/**
 * The port between run-once and the place where its records live: process memory or Redis. Both
 * adapters pass one contract suite. Moves of the state happen here, atomically, by one clock.
 */
import type { Clock } from '../base/clock.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'

/** What the next caller may do with the record of a run that died. */
export type CrashPolicy = 'hold' | 'recover' | 'retry'

/** One caller's claim on one key. */
export interface Claim {
  /** The validated, encoded key. */
  readonly id: string
  /** Unguessable and never used again: proves that a record is ours. */
  readonly owner: string
  /** Digest of the payload; empty where none was given. */
  readonly fingerprint: string
  readonly leaseMs: number
  readonly retainMs: number
}

/** A claim that won. */
export interface Grant {
  readonly fence: number
  /** 1 for the first run under the key. */
  readonly attempt: number
}

export type ClaimReply =
  | {
      readonly state: 'won'
      readonly grant: Grant
      /** The run before died, or failed in a way that may be tried again. */
      readonly before: 'none' | 'crashed' | 'failed'
      /** Encoded results of the steps that ended, in order. */
      readonly checkpoints: readonly (readonly [name: string, value: string])[]
    }
  | { readonly state: 'running'; readonly leaseMs: number }
  | { readonly state: 'done'; readonly result: string | undefined }
  | { readonly state: 'failed'; readonly error: string }
  | { readonly state: 'mismatch' }
  | { readonly state: 'indeterminate'; readonly attempts: number }

/** `done` with a result or without one that could be kept; `failed` for good; `retry`: the next may try. */
export type Ending =
  | { readonly state: 'done'; readonly result: string | undefined }
  | { readonly state: 'failed'; readonly error: string }
  | { readonly state: 'retry' }

/** What is remembered under a key. */
export interface OnceRecord {
  /** `indeterminate`: it began, its lease ended, and it never said how. `retryable`: it failed, the next may try. */
  readonly state: 'running' | 'done' | 'failed' | 'retryable' | 'indeterminate'
  readonly fence: number
  readonly attempts: number
  readonly ageMs: number
  /** Names of the steps that ended, in order. */
  readonly checkpoints: readonly string[]
}

/** What a list tells of a record, however large its results are. */
export interface OnceLook {
  readonly state: OnceRecord['state']
  /** Wall clock, ms since 1970: when the last run began. */
  readonly startedAt: number
  readonly attempts: number
  /** The last step that ended, of a run that did not. */
  readonly step: string | undefined
  readonly steps: number
  /** Secret of the run, while it runs. */
  readonly owner: string | undefined
}

export interface OnceStore {
  readonly shared: boolean
  readonly clock: Clock
  readonly random: Random
  /** At the start of a process: settles when Redis is connected, or not to be waited for. Else `undefined`. */
  opening(): Promise<void> | undefined
  claim(claim: Claim, onCrash: CrashPolicy, deadline: number): Promise<ClaimReply>
  /** Frees a claim whose routine never began. Nothing happens if it is not ours. */
  abandon(claim: Claim, deadline: number): Promise<void>
  /** Extends the lease. False: superseded. */
  beat(claim: Claim, grant: Grant, deadline: number): Promise<boolean>
  /** Keeps the result of a step. False: superseded, nothing was written. */
  checkpoint(claim: Claim, grant: Grant, name: string, value: string, deadline: number): Promise<boolean>
  /** Ends the run and wakes who waits. May be repeated. False: superseded, nothing was written. */
  end(claim: Claim, grant: Grant, ending: Ending, deadline: number): Promise<boolean>
  /** By an operator. 'running': refused, because a run is alive and `force` was not given. */
  resolve(
    id: string,
    ending: Ending,
    options: { force: boolean; retainMs: number; deadline: number },
  ): Promise<'resolved' | 'absent' | 'running'>
  inspect(id: string, deadline: number): Promise<OnceRecord | undefined>
  /** Ids, by glob. */
  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch>
  look(id: string, deadline: number): Promise<OnceLook | undefined>
  /** Calls `wake` when a run under this key ended, or when the line was broken. Returns the end of it. */
  listen(id: string, wake: () => void): () => void
  close(): void
}
