import type { AuditEntry } from '../audit.ts'
import type { Overview } from './overview.ts'

/** `GET /api/v1/stream`: Server-Sent Events; `event` is the name here, `data` its JSON. */
export interface StreamEvents {
  /** Each second. */
  readonly overview: Overview
  /** To those who may read the audit log. */
  readonly audit: AuditEntry
  /** Something was dropped or voided in this process. Counts only: a key is somebody's business. */
  readonly invalidation: {
    readonly at: string
    readonly namespace: string
    readonly op: string
    readonly count: number
  }
  /** A connection came or went. */
  readonly state: {
    readonly at: string
    readonly what: string
    readonly state: string
    readonly cause?: string | undefined
  }
}
