import type { Durability } from '../../queue/options.ts'

/** One line of `GET /api/v1/queues`: the queues that this process has opened. */
export interface QueueAnswer {
  readonly name: string
  readonly backend: 'embedded' | 'bullmq'
  readonly durability: Durability
  /** Messages acknowledged and in nobody's hands. */
  readonly waiting: number
  /** In the hands of a worker, as far as the backend tells them apart; else they count as waiting. */
  readonly active: number
  readonly delayed: number
  /** Dead letters. */
  readonly failed: number
  readonly oldestSeconds: number
  readonly paused: boolean
  readonly workers: number
  readonly partitions: readonly { readonly index: number; readonly owned: boolean }[]
  /** Messages in the local file. */
  readonly spill?: number | undefined
  /** ISO 8601: when it was looked at; null: nobody has been able to look yet. */
  readonly asOf: string | null
  /** Why the figures are old: code of the error. */
  readonly error?: string | undefined
}

/** `POST /api/v1/queues/{name}/pause` and `/resume`. */
export interface QueueToggled {
  readonly name: string
  readonly paused: boolean
}

/** `GET /api/v1/queues/{name}/dead-letters`, oldest first. */
export interface DeadLettersAnswer {
  readonly letters: readonly DeadLetterAnswer[]
  readonly total: number
  readonly cursor?: string | undefined
}

/** A message that was given up, and why. */
export interface DeadLetterAnswer {
  readonly id: string
  readonly key: string | null
  /** Secrets redacted. */
  readonly body: unknown
  /** ISO 8601. */
  readonly addedAt: string
  readonly diedAt: string
  readonly attempts: number
  readonly reason: string
}

/** `POST …/dead-letters/{id}/replay`, `POST …/dead-letters/replay`, `DELETE …/dead-letters/{id}`. */
export interface DeadLettersChanged {
  readonly queue: string
  readonly dryRun: boolean
  readonly replayed?: number | undefined
  readonly dropped?: number | undefined
  readonly would_replay?: number | undefined
}
