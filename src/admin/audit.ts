import type { Clock } from '../base/clock.ts'
import { eventChannel } from '../base/events.ts'
import type { Holdfast } from '../holdfast.ts'
import { Refused } from './problem.ts'

/** One thing that somebody did, or tried. */
export interface AuditEntry {
  /** ISO 8601. */
  readonly at: string
  readonly who: string
  readonly edition: string
  /** `cache.clear`, `cache.reveal` and so on; of what was refused, method and path. */
  readonly action: string
  /** What it was done to: a pattern, a tag, a key. Never a value. */
  readonly target: string
  readonly outcome: 'done' | 'refused' | 'failed'
  /** How many entries, records or messages it touched; of refusals, how many were alike. */
  readonly count: number | undefined
  readonly address: string | undefined
}

/** One page, newest first. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[]
  readonly cursor: string | undefined
}

export const auditEvents = eventChannel<AuditEntry>('holdfast:admin:audit')

const KEEP = 10_000
const KEEP_HERE = 1_000
const STREAM = 'admin:audit'
const LONGEST_TARGET = 600
const LONGEST_NAME = 200
/** Entries of refusals in a minute; whoever is refused more often must not push out what was done. */
const MOST_REFUSALS = 120
const MINUTE_MS = 60_000

/**
 * Who did what: a capped stream in Redis that every process shares, and the last entries of this
 * process where there is no Redis or it does not answer. Also on `holdfast:admin:audit`, for a log
 * that must never be cut.
 */
export class Audit {
  readonly #hf: Holdfast
  readonly #clock: Clock
  readonly #here: { readonly seq: number; readonly entry: AuditEntry }[] = []
  #seq = 0
  #minute = 0
  #refusals = 0
  /** Refusals that were not written, since the last one that was. */
  #unwritten = 0

  constructor(hf: Holdfast, clock: Clock) {
    this.#hf = hf
    this.#clock = clock
  }

  async write(entry: Omit<AuditEntry, 'at'>): Promise<void> {
    if (entry.outcome === 'refused' && !this.#mayWrite()) {
      this.#unwritten++
      return
    }
    const alike = entry.outcome === 'refused' ? this.#unwritten : 0
    if (alike > 0) this.#unwritten = 0
    const whole: AuditEntry = {
      at: new Date(this.#clock.wall()).toISOString(),
      ...entry,
      who: entry.who.slice(0, LONGEST_NAME),
      target: entry.target.slice(0, LONGEST_TARGET),
      count: alike > 0 ? alike + 1 : entry.count,
    }
    if (auditEvents.active) auditEvents.publish(whole)
    this.#here.push({ seq: ++this.#seq, entry: whole })
    if (this.#here.length > KEEP_HERE) this.#here.shift()
    const text = JSON.stringify(whole)
    await this.#hf.redis
      ?.command('XADD', STREAM, 'MAXLEN', '~', String(KEEP), '*', 'entry', text)
      // What was done is done: the entry stands here and on the channel.
      .catch(() => undefined)
  }

  /** Newest first. @throws Refused (400) for a cursor that is none */
  async read(count: number, cursor?: string): Promise<AuditPage> {
    if (cursor !== undefined && !/^\d{1,16}(?:-\d{1,16})?$/.test(cursor)) {
      throw new Refused(400, 'The cursor is none of the audit log.')
    }
    const from = cursor === undefined ? '+' : cursor.includes('-') ? `(${cursor}` : undefined
    const reply =
      from === undefined
        ? undefined
        : await this.#hf.redis
            ?.command('XREVRANGE', STREAM, from, '-', 'COUNT', String(count))
            .catch(() => undefined)
    if (!Array.isArray(reply)) return this.#readHere(count, cursor)
    const rows = reply as [id: string, fields: [string, string]][]
    const entries = rows.map(([, [, text]]) => JSON.parse(text) as AuditEntry)
    return { entries, cursor: rows.length < count ? undefined : rows.at(-1)![0] }
  }

  #readHere(count: number, cursor: string | undefined): AuditPage {
    const before = cursor === undefined || cursor.includes('-') ? Number.POSITIVE_INFINITY : Number(cursor)
    const rows = this.#here
      .filter(({ seq }) => seq < before)
      .slice(-count)
      .reverse()
    const last = rows.at(-1)
    const isEnd = last === undefined || last.seq === this.#here[0]!.seq
    return { entries: rows.map(({ entry }) => entry), cursor: isEnd ? undefined : String(last.seq) }
  }

  #mayWrite(): boolean {
    const minute = Math.floor(this.#clock.wall() / MINUTE_MS)
    if (minute !== this.#minute) this.#refusals = 0
    this.#minute = minute
    return ++this.#refusals <= MOST_REFUSALS
  }
}
