import type { JudgedCache } from '../cache/judged.ts'
import type { CacheOptions } from '../cache/options.ts'
import type { Ask, Pass } from './ask.ts'
import { variantKey } from './cache-key.ts'
import { judge } from './judgement.ts'
import type { HttpExplanation } from './options.ts'
import type { Rules } from './storable.ts'
import { StoredResponse } from './stored-response.ts'
import { selectingValues } from './vary.ts'

const NOTHING = {
  key: undefined,
  vary: [],
  tags: [],
  ageSeconds: undefined,
  freshForSeconds: undefined,
  status: undefined,
  headers: undefined,
} as const

/** How a request would be answered at this moment, in words. */
export async function explain(
  ask: Ask | Pass,
  cache: JudgedCache,
  rules: Rules,
  now: number,
  settings: (ask: Ask) => CacheOptions,
  maxSlots: number,
): Promise<HttpExplanation> {
  const { url } = ask.request
  if (ask.kind === 'pass') return { ...NOTHING, url, outcome: 'bypass', reason: ask.detail ?? ask.fwd }
  let { key } = ask
  for (let slot = 0; slot < maxSlots; slot++) {
    const found = await cache.look(key, settings(ask))
    if (found === undefined) {
      return { ...NOTHING, url, key, outcome: 'miss', reason: slot === 0 ? 'uri-miss' : 'vary-miss' }
    }
    const { value } = found
    const verdict = judge(value, found, ask, rules, now)
    if (!(value instanceof StoredResponse)) break
    const { meta } = value
    if (verdict === 'other') {
      key = variantKey(ask.key, meta.varyNames, selectingValues(ask.request.headers, meta.varyNames))
      continue
    }
    return {
      url,
      key,
      outcome: OUTCOME[verdict] ?? 'miss',
      reason: REASON[verdict] ?? verdict,
      vary: meta.varyNames,
      tags: found.tags,
      ageSeconds: value.ageSeconds(now),
      freshForSeconds: Math.floor(value.freshForMs(now) / 1_000),
      status: meta.status,
      headers: headersOf(value),
    }
  }
  return { ...NOTHING, url, key, outcome: 'miss', reason: 'vary-miss' }
}

const OUTCOME: Readonly<Record<string, HttpExplanation['outcome']>> = {
  hit: 'hit',
  stale: 'stale',
  refresh: 'stale',
  unfit: 'bypass',
}
const REASON: Readonly<Record<string, string>> = {
  hit: 'fresh',
  stale: 'stale-if-error',
  refresh: 'stale-while-revalidate',
  validate: 'stale',
  unfit: 'authorization',
}

function headersOf(stored: StoredResponse): Record<string, string> {
  const out: Record<string, string> = {}
  for (const name of stored.fields.names()) out[name] = stored.fields.get(name) ?? ''
  return out
}
