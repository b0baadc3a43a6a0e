import type { Edition } from './permissions.ts'

/** Who asks. */
export interface Principal {
  /** For the audit log. Never a token. */
  readonly name: string
  readonly edition: Edition
  /** The only cache namespace that exists for this principal; undefined: all. */
  readonly namespace: string | undefined
}
