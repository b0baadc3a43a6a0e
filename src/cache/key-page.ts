import type { Duration } from '../base/duration.ts'
import { decodeName } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import { namePage, pageRequest } from '../base/page.ts'
import type { Scope } from './core.ts'

/** Which page of the keys, and how long to look for it. */
export interface PageOptions {
  /** Most keys on the page, 1 to 10,000. @default 100 */
  limit?: number | undefined
  /** `cursor` of the page before. */
  cursor?: string | undefined
  /** How long to go on looking. @default '250ms' */
  budget?: Duration | undefined
}

/** One page of the keys of a cache. */
export interface KeyPage {
  readonly keys: readonly string[]
  /** Matches seen from the cursor on, those beyond `limit` included: all of them unless `truncated`. */
  readonly found: number
  /** Where the next page begins; undefined when all was seen and shown. */
  readonly cursor: string | undefined
  /** Time was over before the end: `found` is only what was seen so far. */
  readonly truncated: boolean
}

/** Goes on counting after the page is full, as long as time allows. */
export async function keyPage(scope: Scope, glob: string, options: PageOptions): Promise<KeyPage> {
  refuseUnknown(options, ['limit', 'cursor', 'budget'], 'keys()')
  const { store, clock } = scope.core
  const request = pageRequest(clock, options, true)
  const { names, ...rest } = await namePage((from) => store.scan(scope.prefix + glob, from), request)
  return { keys: names.map((name) => decodeName(name.slice(scope.prefix.length))), ...rest }
}
