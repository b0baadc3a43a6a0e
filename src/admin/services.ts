import type { Clock } from '../base/clock.ts'
import { examine } from '../doctor/examine.ts'
import type { Report } from '../doctor/finding.ts'
import type { Holdfast } from '../holdfast.ts'
import { EntryFates } from '../observe/entry-fates.ts'
import { createRolling, type Rolling } from '../observe/rolling.ts'
import { Streams } from './streams.ts'
import { Watcher } from './watcher.ts'

export interface ServicesSetup {
  readonly hf: Holdfast
  readonly clock: Clock
  /** Of the caller, and closed by it. */
  readonly rolling: Rolling | undefined
  /** Where the administration listens, for the doctor. */
  readonly bound: { readonly host: string; readonly authenticated: boolean } | undefined
}

/** An examination is told again for so long: it costs seconds and hundreds of commands. */
const REPORT_MS = 10_000
/** Following entries costs each look-up from memory about a microsecond: only while somebody looks. */
const FATES_MS = 600_000

/** What routes share: windows, streams, what this process saw, the doctor. */
export class Services {
  readonly streams: Streams
  readonly watcher: Watcher
  readonly #setup: ServicesSetup
  readonly #rolling: Rolling
  #report: { readonly at: number; readonly report: Promise<Report> } | undefined
  #fates: { readonly fates: EntryFates; askedAt: number } | undefined
  #closed = false

  constructor(setup: ServicesSetup) {
    this.#setup = setup
    this.#rolling = setup.rolling ?? createRolling(setup.hf, { share: true, watch: true, clock: setup.clock })
    this.watcher = new Watcher(setup.clock)
    this.streams = new Streams(this.#rolling, this.watcher, setup.clock)
  }

  get rolling(): Rolling {
    return this.#rolling
  }

  /** One examination at a time. */
  doctor(): Promise<Report> {
    const { hf, clock, bound } = this.#setup
    const now = clock.mono()
    if (this.#report === undefined || now - this.#report.at > REPORT_MS) {
      const report = examine(hf, { admin: bound })
      this.#report = { at: now, report }
      report.catch(() => {
        this.#report = undefined
      })
    }
    return this.#report.report
  }

  /** Entries that expired unread, by namespace; counted from the first call on, while calls go on. */
  fates(): ReturnType<EntryFates['counts']> {
    const { clock } = this.#setup
    if (this.#closed) return new Map()
    const now = clock.mono()
    if (this.#fates === undefined) {
      this.#fates = { fates: new EntryFates(clock), askedAt: now }
      this.#lapse()
    }
    this.#fates.askedAt = now
    return this.#fates.fates.counts()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.streams.close()
    this.watcher.stop()
    this.#fates?.fates.stop()
    if (this.#setup.rolling === undefined) await this.#rolling.close()
  }

  #lapse(): void {
    const { clock } = this.#setup
    clock.after(FATES_MS, () => {
      if (this.#closed || this.#fates === undefined) return
      if (clock.mono() - this.#fates.askedAt < FATES_MS) return this.#lapse()
      this.#fates.fates.stop()
      this.#fates = undefined
    })
  }
}
