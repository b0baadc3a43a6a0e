import type { Cache, Loader, WarmEntry, WarmReport } from 'holdfast'
import { Problem } from '../tasks/problem.ts'
import { type Range, rangeOf } from './range.ts'
import { type Ask, type Report, type Row, SOURCES, type Source } from './sources.ts'

/** A client of the agency, and what it is called at each source. */
export interface Account extends Readonly<Record<Source, string>> {
  readonly id: string
  readonly name: string
}

/** Who there is, and what is loaded before anybody asks: ranges, of every account. */
export interface Manifest {
  readonly accounts: readonly Account[]
  readonly warm: readonly string[]
}

/** What a source says, as it is shown. */
export type Shown = Omit<Report, 'leftSeconds'> & { readonly source: Source }

export interface Overview {
  readonly account: string
  readonly range: Range
  readonly totals: Record<string, number>
  readonly sources: Record<string, Omit<Shown, 'source' | 'rows'> | { state: 'failed'; detail: string }>
}

/** What the dashboards show. */
export class Dashboard {
  readonly #accounts: ReadonlyMap<string, Account>
  readonly #answers: Cache
  readonly #reports: Cache
  readonly #sources: Record<Source, Ask>
  readonly #now: () => number

  constructor(
    { accounts }: Manifest,
    cache: Cache,
    sources: Record<Source, Ask>,
    now: () => number = Date.now,
  ) {
    this.#accounts = new Map(accounts.map((account) => [account.id, account]))
    this.#answers = cache.namespace('answers')
    this.#reports = cache.namespace('reports')
    this.#sources = sources
    this.#now = now
  }

  get accounts(): Account[] {
    return [...this.#accounts.values()]
  }

  /** @throws Problem 404 */
  account(id: string): Account {
    const account = this.#accounts.get(id)
    if (!account) throw new Problem(404, 'there is no such account')
    return account
  }

  /** @throws Problem */
  report(id: string, source: Source, range: unknown): Promise<Shown> {
    const { key, load } = this.#entry(this.account(id), source, rangeOf(range, this.#now()))
    return this.#reports.getOrSet(key, load)
  }

  /**
   * All sources side by side, added up; one that fails does not spoil the others.
   * @throws Problem when none answers
   */
  async overview(id: string, text: unknown): Promise<Overview> {
    const range = rangeOf(text, this.#now())
    const parts = await Promise.allSettled(SOURCES.map((source) => this.report(id, source, text)))
    const reports = parts.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : []))
    if (reports.length === 0) throw (parts[0] as PromiseRejectedResult).reason
    const sources = Object.fromEntries(SOURCES.map((source, i) => [source, stateOf(parts[i]!)]))
    return { account: id, range, totals: totalsOf(reports.flatMap(({ rows }) => rows)), sources }
  }

  /** Loads the reports that the manifest names and that are not there yet, a few at a time. */
  warm({ accounts, warm }: Manifest): Promise<WarmReport> {
    const ranges = warm.map((range) => rangeOf(range, this.#now()))
    const entries = accounts.flatMap((account) =>
      ranges.flatMap((range) => SOURCES.map((source) => this.#entry(account, source, range))),
    )
    return this.#reports.warm(entries as WarmEntry[], { concurrency: 8 })
  }

  /** What is shown of an account is old from now on: shown once more, while new figures come. */
  async refresh(id: string): Promise<void> {
    const tags = tagsOf(this.account(id))
    await this.#answers.expireTag(tags)
    await this.#reports.invalidateTag(tags)
  }

  /** A report is kept as long as the answers that it is made of are fresh, and not at all when they are stale. */
  #entry(account: Account, source: Source, range: Range): { key: string; load: Loader<Shown> } {
    const load: Loader<Shown> = async (context) => {
      const { leftSeconds, ...said } = await this.#sources[source](account[source], range)
      const report = { source, ...said }
      if (said.state === 'stale') return context.skip(report)
      context.tag(tagOf(account, source))
      context.ttl(`${leftSeconds}s`)
      return report
    }
    return { key: `${source}:${account[source]}:${range.since}:${range.until}`, load }
  }
}

/** As the answers of the sources are tagged too. */
const tagOf = (account: Account, source: Source): string => `${source}:${account[source]}`
const tagsOf = (account: Account): string[] => SOURCES.map((source) => tagOf(account, source))

function stateOf(part: PromiseSettledResult<Shown>): Overview['sources'][string] {
  if (part.status === 'fulfilled') return { state: part.value.state, asOf: part.value.asOf }
  const { reason } = part
  if (!(reason instanceof Problem)) throw reason
  return { state: 'failed', detail: reason.message }
}

function totalsOf(rows: readonly Row[]): Record<string, number> {
  const totals: Record<string, number> = {}
  for (const { figures } of rows) {
    for (const [name, value] of Object.entries(figures)) totals[name] = (totals[name] ?? 0) + value
  }
  // Sums of cents in floating point.
  return Object.fromEntries(Object.entries(totals).map(([name, sum]) => [name, Math.round(sum * 100) / 100]))
}
