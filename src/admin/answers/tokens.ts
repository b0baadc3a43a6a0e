/** One line of `GET /api/v1/tokens`. Never a token. */
export interface TokenAnswer {
  /** Client, and what tells its subjects apart; as `DELETE` takes it. */
  readonly name: string
  readonly client: string
  readonly state: 'valid' | 'absent' | 'needs-reauth' | 'paused'
  readonly fingerprint: string | null
  /** ISO 8601: until when it is used. */
  readonly expiresAt: string | null
  readonly refreshedAt: string | null
  /** The endpoint refused, or fails: nobody asks it before. */
  readonly refusedUntil?: string | undefined
  readonly hasGrant: boolean
}

/** `DELETE /api/v1/tokens/{name}`. */
export interface TokenInvalidated {
  readonly name: string
  readonly invalidated: boolean
}
