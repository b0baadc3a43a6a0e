import type { Edition, Permission } from '../permissions.ts'

/** `GET /api/v1/me`: who asks, what they may do, and of what. */
export interface Me {
  readonly name: string
  readonly edition: Edition
  readonly permissions: readonly Permission[]
  /** The only cache namespace that exists for this principal. */
  readonly namespace?: string | undefined
  readonly driver: 'embedded' | 'redis'
  /** Where the instance is connected to, without user and password; `process memory` without Redis. */
  readonly target: string
  /** Of Holdfast. */
  readonly version: string
}
