/** Times of the coherence protocol. Every process of a namespace must use the same W. */
export const TRUST_MS = 1_000

/** Clock rates may differ by this much (exception E9 in docs/3.consistency.md). */
export const TRUST_WITH_MARGIN_MS = TRUST_MS * 1.02

export const HEARTBEAT_MS = 250

/** A process not heard of for this long is no longer waited for: its trust lapsed long ago. */
export const SILENT_MS = 10 * TRUST_MS

/** Entries of the bucket count in Cluster; a single node needs one. */
export const CLUSTER_BUCKETS = 16

export interface StoreDeadlines {
  /** Reads and leases, ms. A missed one is a counted bypass. */
  readonly read: number
  /** Fills and sets, ms. */
  readonly write: number
  /** Until an invalidation is given up as NotAcknowledged, ms. */
  readonly invalidate: number
}

export const DEADLINES: StoreDeadlines = { read: 100, write: 500, invalidate: 1_000 }

/**
 * The first calls of a process wait this long for the first connection. Without it a fleet that
 * starts would load every key once per process, just when all its caches are cold.
 */
export const START_PATIENCE_MS = 600
