import type { Clock } from '../base/clock.ts'
import { eventChannel } from '../base/events.ts'
import type { Holdfast } from '../holdfast.ts'

/** One thing that somebody did, or tried. */
export interface AuditEntry {
  /** ISO 8601. */
  readonly at: string
  readonly who: string
  readonly edition: string
  /** `cache.clear`, `cache.reveal` and so on. */
  readonly action: string
  /** What it was done to: a pattern, a tag, a key. Never a value. */
  readonly target: string
  readonly outcome: 'done' | 'refused' | 'failed'
  /** How many entries, records or messages it touched. */
  readonly count: number | undefined
  readonly address: string | undefined
}

export const auditEvents = eventChannel<AuditEntry>('holdfast:admin:audit')

const KEEP = 10_000
const KEEP_HERE = 1_000
const STREAM = 'admin:audit'

/**
 * Who did what: a capped stream in Redis that every process shares, and the last entries of this
 * process where there is no Redis or it does not answer. Also on `holdfast:admin:audit`, for a log
 * that must never be cut.
 */
export class Audit {
  readonly #hf: Holdfast
  readonly #clock: Clock
  readonly #here: AuditEntry[] = []

  constructor(hf: Holdfast, clock: Clock) {
    this.#hf = hf
    this.#clock = clock
  }

  async write(entry: Omit<AuditEntry, 'at'>): Promise<void> {
    const whole: AuditEntry = { at: new Date(this.#clock.wall()).toISOString(), ...entry }
    if (auditEvents.active) auditEvents.publish(whole)
    this.#here.push(whole)
    if (this.#here.length > KEEP_HERE) this.#here.shift()
    const text = JSON.stringify(whole)
    await this.#hf.redis
      ?.command('XADD', STREAM, 'MAXLEN', '~', String(KEEP), '*', 'entry', text)
      // What was done is done: the entry stands here and on the channel.
      .catch(() => undefined)
  }

  /** Newest first. */
  async read(count: number): Promise<readonly AuditEntry[]> {
    const reply = await this.#hf.redis
      ?.command('XREVRANGE', STREAM, '+', '-', 'COUNT', String(count))
      .catch(() => undefined)
    if (!Array.isArray(reply)) return this.#here.slice(-count).reverse()
    return (reply as [string, [string, string]][]).map(([, [, text]]) => JSON.parse(text) as AuditEntry)
  }
}
