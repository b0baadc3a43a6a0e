import type { Ask, Pass } from './ask.ts'
import { judge } from './judgement.ts'
import { type Desk, MAX_SLOTS, nextSlot, settingsOf } from './lookup.ts'
import type { HttpExplanation } from './options.ts'
import { StoredResponse } from './stored-response.ts'

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
export async function explain(desk: Desk, ask: Ask | Pass): Promise<HttpExplanation> {
  const { url } = ask.request
  if (ask.kind === 'pass') return { ...NOTHING, url, outcome: 'bypass', reason: ask.detail ?? ask.fwd }
  let { key } = ask
  for (let slot = 0; slot < MAX_SLOTS; slot++) {
    const found = await desk.judged.look(key, settingsOf(ask, desk.timeoutMs))
    const now = desk.now()
    if (found === undefined) {
      return { ...NOTHING, url, key, outcome: 'miss', reason: slot === 0 ? 'uri-miss' : 'vary-miss' }
    }
    const { value } = found
    const verdict = judge(value, found, ask, desk.rules, now)
    if (!(value instanceof StoredResponse)) break
    const { meta } = value
    if (verdict === 'other') {
      key = nextSlot(ask, value)
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
