import { sfName, sfString } from './structured-fields.ts'

/** Why a request went on to the application (RFC 9211, 2.2). */
export type Forwarded = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'request' | 'stale'

export interface ForwardStatus {
  readonly fwd: Forwarded
  readonly fwdStatus?: number | undefined
  readonly stored?: boolean | undefined
  readonly collapsed?: boolean | undefined
  readonly detail?: string | undefined
}

/** Writes our member of Cache-Status (RFC 9211). */
export class CacheStatus {
  readonly #name: string | undefined
  readonly #showKey: boolean

  constructor(name: string | false, showKey: boolean) {
    this.#name = name === false ? undefined : sfName(name)
    this.#showKey = showKey
  }

  /** Without ttl, which comes last and changes every second. '' = none at all. */
  hit(key: string, detail?: string): string {
    if (this.#name === undefined) return ''
    return `${this.#name}; hit${detail === undefined ? '' : `; detail=${sfName(detail)}`}${this.#key(key)}`
  }

  forwarded(key: string | undefined, status: ForwardStatus): string {
    if (this.#name === undefined) return ''
    let text = `${this.#name}; fwd=${status.fwd}`
    if (status.fwdStatus !== undefined) text += `; fwd-status=${status.fwdStatus}`
    if (status.stored) text += '; stored'
    if (status.collapsed) text += '; collapsed'
    if (status.detail !== undefined) text += `; detail=${sfName(status.detail)}`
    return text + (key === undefined ? '' : this.#key(key))
  }

  /** Neither hit nor forwarded. */
  refused(key: string, detail: string): string {
    return this.#name === undefined ? '' : `${this.#name}; detail=${sfName(detail)}${this.#key(key)}`
  }

  #key(key: string): string {
    return this.#showKey ? `; key=${sfString(key)}` : ''
  }
}
