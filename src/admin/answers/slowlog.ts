/** One line of `GET /api/v1/slowlog`, newest first. */
export interface SlowCommand {
  readonly id: number
  /** ISO 8601. */
  readonly at: string
  readonly microseconds: number
  readonly command: string
  /** Redacted: the part before the first colon, and a short hash. Values are left out. */
  readonly keys: readonly string[]
  readonly role: 'cache' | 'data'
  readonly node: string
}
