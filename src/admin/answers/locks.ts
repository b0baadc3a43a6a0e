/** `GET /api/v1/locks`: held or waited for. */
export interface LocksAnswer {
  readonly locks: readonly LockAnswer[]
  readonly cursor?: string | undefined
  /** Time was over before the end of the look. */
  readonly truncated: boolean
}

/** One lock, and who holds it or waits for it. */
export interface LockAnswer {
  readonly name: string
  readonly kind: 'lock' | 'semaphore' | 'rwlock'
  readonly mode: 'exclusive' | 'permit' | 'read' | 'write'
  /** Digest of the holder's secret, the same for the same claim; null: nobody holds it, some wait. */
  readonly holder: string | null
  /** As text: it may be larger than a JSON number holds exactly. */
  readonly fencingToken: string | null
  readonly leaseLeftMs: number
  readonly heldMs: number
  readonly holders: number
  readonly waiters: number
}

/** `DELETE /api/v1/locks/{name}?confirm={name}`. */
export interface LockReleased {
  readonly name: string
  /** Leases taken away. Their holders learn it at their next renewal; a fencing token keeps them out before. */
  readonly released: number
}
