/** `GET /api/v1/sessions`. */
export interface SessionsAnswer {
  readonly stores: readonly {
    readonly name: string
    readonly count: number
    /** True: time was over, there are at least `count`. */
    readonly truncated: boolean
  }[]
  /** Of `store`, or of `user` in it. Newest use first where a user is given. */
  readonly sessions: readonly SessionAnswer[]
  readonly cursor?: string | undefined
}

/** One session, without its secret and without what it holds. */
export interface SessionAnswer {
  readonly store: string
  /** Names the session without being its secret. */
  readonly idHash: string
  /** Null: nobody's, or encrypted. */
  readonly user: string | null
  /** ISO 8601. */
  readonly createdAt: string
  readonly lastSeenAt: string
  readonly expiresAt: string
  /** Names of its fields, no values. */
  readonly fields: readonly string[]
}

/** `DELETE /api/v1/sessions/{store}/{idHash}` and `…/users/{user}`. */
export interface SessionsRevoked {
  readonly store: string
  readonly revoked: number
}
