import type { Clock } from '../base/clock.ts'
import type { Holdfast } from '../holdfast.ts'
import { type ProcessReport, readReport, writeReport } from './process-report.ts'

/** One HASH: a field for each process. */
const HASH = 'observe:processes'
/** The hash goes when nobody reports any more. */
const LIFE_MS = '60000'
/** Three reports missed: the process is gone, or cut off. */
const SILENCE_MS = 15_000
/** Its field is taken away by whoever reads after this. */
const FORGET_MS = 60_000

interface Known {
  report: ProcessReport
  /** When its number rose last, by this process's monotonic clock: wall clocks of two machines differ. */
  heardAt: number
}

/**
 * The other processes of the namespace, by what each writes to the data role every few seconds. A
 * report and a reading travel together: one round trip.
 */
export class Fleet {
  readonly #hf: Holdfast
  readonly #clock: Clock
  readonly #id: string
  readonly #known = new Map<string, Known>()
  /** Exchanges that got no answer, and fields that were no report. */
  failures = 0
  unread = 0
  #isBusy = false

  constructor(hf: Holdfast, clock: Clock, id: string) {
    this.#hf = hf
    this.#clock = clock
    this.#id = id
  }

  /**
   * Writes the report, if there is one, and reads the others', if asked. Never rejects.
   * @returns the reports that are new since the last call
   */
  async exchange(report: ProcessReport | undefined, read: boolean): Promise<readonly ProcessReport[]> {
    const { redis } = this.#hf
    if (redis === undefined || this.#isBusy) return []
    this.#isBusy = true
    try {
      const [reply] = await Promise.all([
        read ? redis.command('HGETALL', HASH) : undefined,
        ...(report === undefined
          ? []
          : [
              redis.command('HSET', HASH, this.#id, writeReport(report)),
              redis.command('PEXPIRE', HASH, LIFE_MS),
            ]),
      ])
      return read ? this.#heard(pairs(reply)) : []
    } catch {
      this.failures++
      return []
    } finally {
      this.#isBusy = false
    }
  }

  /** Who reported lately, this process left out. */
  alive(): readonly ProcessReport[] {
    const oldest = this.#clock.mono() - SILENCE_MS
    return [...this.#known.values()].flatMap(({ report, heardAt }) => (heardAt >= oldest ? [report] : []))
  }

  /** Takes the report back, as far as Redis can be asked. Never rejects. */
  async leave(): Promise<void> {
    await this.#hf.redis?.command('HDEL', HASH, this.#id).catch(() => {
      this.failures++
    })
  }

  #heard(fields: readonly (readonly [string, unknown])[]): readonly ProcessReport[] {
    const now = this.#clock.mono()
    const fresh: ProcessReport[] = []
    const gone: string[] = []
    for (const [id, text] of fields) {
      if (id === this.#id) continue
      const report = readReport(text)
      if (report === undefined) {
        this.unread++
        continue
      }
      const known = this.#known.get(id)
      if (known === undefined) {
        // Unknown so far: how old it is, only its own wall clock says.
        if (this.#clock.wall() - report.at > FORGET_MS) gone.push(id)
        else this.#known.set(id, { report, heardAt: now })
      } else if (known.report.seq !== report.seq) {
        this.#known.set(id, { report, heardAt: now })
        fresh.push(report)
      } else if (now - known.heardAt > FORGET_MS) gone.push(id)
    }
    const present = new Set(fields.map(([id]) => id))
    for (const id of [...this.#known.keys()])
      if (!present.has(id) || gone.includes(id)) this.#known.delete(id)
    if (gone.length > 0) {
      void this.#hf.redis?.command('HDEL', HASH, ...gone).catch(() => {
        this.failures++
      })
    }
    return fresh
  }
}

/** The reply of HGETALL, whichever protocol brought it. */
function pairs(reply: unknown): readonly (readonly [string, unknown])[] {
  if (Array.isArray(reply)) {
    const found: [string, unknown][] = []
    for (let i = 0; i + 1 < reply.length; i += 2) found.push([String(reply[i]), reply[i + 1]])
    return found
  }
  return typeof reply === 'object' && reply !== null ? Object.entries(reply) : []
}
