import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { decodeName } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Scope } from './core.ts'

export interface PageOptions {
  /** Most keys on the page, 1 to 10,000. @default 100 */
  limit?: number | undefined
  /** `cursor` of the page before. */
  cursor?: string | undefined
  /** How long to go on looking. @default '250ms' */
  budget?: Duration | undefined
}

export interface KeyPage {
  readonly keys: readonly string[]
  /** Matches seen from the cursor on, those beyond `limit` included: all of them unless `truncated`. */
  readonly found: number
  /** Where the next page begins; undefined when all was seen and shown. */
  readonly cursor: string | undefined
  /** Time was over before the end: `found` is only what was seen so far. */
  readonly truncated: boolean
}

const MOST = 10_000

/**
 * Goes on counting after the page is full, as long as time allows. A cursor is a place of the scan
 * and how many matches of its batch were shown; as with SCAN itself, keys that come or go meanwhile
 * may be missed, and a key may be seen twice.
 */
export async function keyPage(scope: Scope, glob: string, options: PageOptions): Promise<KeyPage> {
  refuseUnknown(options, ['limit', 'cursor', 'budget'], 'keys()')
  const { limit = 100, cursor, budget = '250ms' } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) {
    throw new InvalidOption(`limit is not between 1 and ${MOST}`, 'ask for fewer, and go on with the cursor')
  }
  const { store, clock } = scope.core
  const { from, shown } = parseCursor(cursor)
  const end = clock.mono() + toMs(budget, 'budget')
  const keys: string[] = []
  let found = 0
  let place = from
  let skip = shown
  let resume: string | undefined
  for await (const batch of store.scan(scope.prefix + glob, from)) {
    const matches = skip === 0 ? batch.keys : batch.keys.slice(skip)
    found += matches.length
    const room = limit - keys.length
    for (const name of matches.slice(0, room)) keys.push(decodeName(name.slice(scope.prefix.length)))
    if (matches.length > room && resume === undefined) resume = writeCursor(place, skip + room)
    skip = 0
    place = batch.next
    if (clock.mono() >= end && place !== undefined) {
      return { keys, found, cursor: resume ?? writeCursor(place, 0), truncated: true }
    }
  }
  return { keys, found, cursor: resume, truncated: false }
}

const writeCursor = (place: string | undefined, shown: number): string => `${place ?? ''}~${shown}`

function parseCursor(cursor: string | undefined): { from: string | undefined; shown: number } {
  if (cursor === undefined) return { from: undefined, shown: 0 }
  const [, from, shown] = /^([\d.]{0,30})~(\d{1,6})$/.exec(cursor) ?? []
  if (from === undefined) {
    throw new InvalidOption('the cursor is none of keys()', 'pass it on as it was given')
  }
  return { from: from === '' ? undefined : from, shown: Number(shown) }
}
