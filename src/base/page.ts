import type { Clock } from './clock.ts'
import { type Duration, toMs } from './duration.ts'
import { InvalidOption } from './errors.ts'
import type { NameBatch } from './name-scan.ts'

/** Bounds of one look at a key space. */
export interface LookOptions {
  /** Glob of names: `*`, `?`, `[a-z]`, a backslash before a literal. @default '*' */
  pattern?: string | undefined
  /** Most on the page. @default 100 */
  limit?: number | undefined
  /** `cursor` of the page before. */
  cursor?: string | undefined
  /** How long to go on looking. @default '250ms' */
  budget?: Duration | undefined
}

/** What a page of any list says of itself. */
export interface PageEnd {
  /** Where the next page begins; undefined when all was seen and shown. */
  readonly cursor: string | undefined
  /** Time was over before the end of the look. */
  readonly truncated: boolean
}

export interface NamePage extends PageEnd {
  readonly names: readonly string[]
  /** Matches seen from the cursor on, those beyond `limit` included. */
  readonly found: number
}

export interface PageRequest {
  readonly clock: Clock
  readonly limit: number
  readonly cursor: string | undefined
  readonly budgetMs: number
  /** Go on counting after the page is full, as long as time allows. */
  readonly countAll: boolean
}

export const MOST_ON_A_PAGE = 10_000

/** @throws InvalidOption */
export function pageRequest(
  clock: Clock,
  { limit = 100, cursor, budget = '250ms' }: LookOptions,
  countAll = false,
): PageRequest {
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_ON_A_PAGE) {
    throw new InvalidOption(
      `limit is not between 1 and ${MOST_ON_A_PAGE}`,
      'ask for fewer, and go on with the cursor',
    )
  }
  return { clock, limit, cursor, budgetMs: toMs(budget, 'budget'), countAll }
}

/**
 * One page of a scan, bounded in number and time. A cursor is a place of the scan and how many matches
 * of its batch were shown; as with SCAN itself, names that come or go meanwhile may be missed, and a
 * name may be seen twice.
 */
export async function namePage(
  scan: (from: string | undefined) => AsyncIterable<NameBatch>,
  { clock, limit, cursor, budgetMs, countAll }: PageRequest,
): Promise<NamePage> {
  const { from, shown } = parseCursor(cursor)
  const end = clock.mono() + budgetMs
  const names: string[] = []
  let found = 0
  let place = from
  let skip = shown
  let resume: string | undefined
  for await (const batch of scan(from)) {
    const matches = skip === 0 ? batch.keys : batch.keys.slice(skip)
    found += matches.length
    const room = limit - names.length
    names.push(...matches.slice(0, room))
    if (matches.length > room && resume === undefined) resume = writeCursor(place, skip + room)
    skip = 0
    place = batch.next
    if (place === undefined) break
    const isFull = names.length >= limit && !countAll
    if (isFull) return { names, found, cursor: resume ?? writeCursor(place, 0), truncated: false }
    if (clock.mono() >= end) {
      return { names, found, cursor: resume ?? writeCursor(place, 0), truncated: true }
    }
  }
  return { names, found, cursor: resume, truncated: false }
}

const writeCursor = (place: string | undefined, shown: number): string => `${place ?? ''}~${shown}`

function parseCursor(cursor: string | undefined): { from: string | undefined; shown: number } {
  if (cursor === undefined) return { from: undefined, shown: 0 }
  const [, from, shown] = /^([\d.]{0,30})~(\d{1,6})$/.exec(cursor) ?? []
  if (from === undefined) {
    throw new InvalidOption('the cursor is none of a page', 'pass it on as it was given')
  }
  return { from: from === '' ? undefined : from, shown: Number(shown) }
}
