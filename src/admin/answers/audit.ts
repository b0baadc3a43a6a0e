import type { AuditEntry } from '../audit.ts'

/** `GET /api/v1/audit`, newest first. */
export interface AuditAnswer {
  readonly entries: readonly AuditEntry[]
  readonly cursor?: string | undefined
}
