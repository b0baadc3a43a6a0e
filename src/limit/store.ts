import type { Policy } from './policy.ts'

/**
 * The port between a limiter and the place where counters live: process memory or Redis. Both
 * decide by the same arithmetic and pass one contract suite.
 */
export interface LimitStore {
  readonly shared: boolean
  /** Decides; all parts or none take effect. Rejects when the store cannot be asked in time. */
  apply(operation: Operation): Promise<Outcome>
  /** Calls back when another process may have given units back; `key` undefined = anything. */
  onRelief?(listener: (key: string | undefined) => void): () => void
}

/**
 * `consume`: takes `cost` if every limit admits it, else nothing. `peek`: the same without taking.
 * `refund`: gives `cost` back; with `at`, not if that hit has left the window. `penalty`: takes even
 * beyond the limit. `block`: refuses everything for `cost` ms, 0 lifts it; with `at` 1 it never
 * shortens a block. `reset`: forgets.
 */
export type Verb = 'consume' | 'peek' | 'refund' | 'penalty' | 'block' | 'reset'

export interface Operation {
  readonly verb: Verb
  readonly parts: readonly Part[]
  readonly cost: number
  /** Server µs of the hit that is refunded; 0 = unknown. */
  readonly at: number
  /** Milliseconds until the caller gives up. */
  readonly deadline: number
}

/** One subject of a decision. */
export interface Part {
  readonly key: string
  /** Parts with one tag live in one slot. */
  readonly tag: string
  readonly policy: Policy
}

export interface Outcome {
  readonly allowed: boolean
  /** Refused (or shown as refused) because a subject is blocked, whatever its counters say. */
  readonly blocked: boolean
  /** False where the parts live in different slots and were decided one by one. */
  readonly atomic: boolean
  /** Server time of the decision in µs. */
  readonly at: number
  /** Per part, per limit, flat and in order. */
  readonly states: readonly LimitReading[]
}

export interface LimitReading {
  readonly remaining: number
  /** This limit refused. */
  readonly refused: boolean
  /** µs until the refused call could pass (Infinity: never), or until the next unit comes back. */
  readonly wait: number
  /** µs until the limit is as good as new. */
  readonly reset: number
}
