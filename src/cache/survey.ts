import type { Clock } from '../base/clock.ts'
import { decodeName, encodeGlob, NAMESPACE_SEPARATOR } from '../base/key.ts'
import { type LookOptions, namePage, type PageEnd, pageRequest } from '../base/page.ts'
import type { Scope } from './core.ts'
import { fullTag } from './settings.ts'
import type { CacheStore } from './store.ts'

/** Looks over many entries at once, for people: bounded in time, without reading values. */

export interface TagPage extends PageEnd {
  readonly tags: readonly string[]
}

/** Tags of a namespace that have been used or invalidated. @throws InvalidOption, RedisUnavailable, RedisTimeout */
export async function tagPage(scope: Scope, options: LookOptions): Promise<TagPage> {
  const { store, clock } = scope.core
  const glob = scope.prefix + encodeGlob(options.pattern ?? '*')
  const request = pageRequest(clock, options)
  const { names, cursor, truncated } = await namePage((from) => ownTags(store, glob, from), request)
  const tags = [...new Set(names)].map((tag) => decodeName(tag.slice(scope.prefix.length)))
  return { tags, cursor, truncated }
}

/** Without the tags of namespaces themselves, which nobody wrote. */
async function* ownTags(store: CacheStore, glob: string, from: string | undefined) {
  for await (const { keys, next } of store.tags(glob, from)) {
    yield { keys: keys.filter((tag) => !tag.startsWith('~')), next }
  }
}

/** How many entries carry a tag. `isExact`: all were looked at. @throws RedisUnavailable, RedisTimeout */
export async function countTagged(
  scope: Scope,
  tag: string,
  budgetMs: number,
): Promise<{ readonly count: number; readonly isExact: boolean }> {
  const { store, clock } = scope.core
  const full = fullTag(tag, scope.prefix)
  const end = clock.mono() + budgetMs
  const found = new Set<string>()
  for await (const { keys, next } of store.scan(`${scope.prefix}*`)) {
    const weights = await store.weigh(keys)
    for (const [i, weight] of weights.entries()) if (weight?.tags.includes(full)) found.add(keys[i]!)
    if (next !== undefined && clock.mono() >= end) return { count: found.size, isExact: false }
  }
  return { count: found.size, isExact: true }
}

/** What stands in one namespace, those below it not included. */
export interface NamespaceSurvey {
  readonly keys: number
  /** Of all its keys, by the mean of those that were weighed. */
  readonly bytes: number
  /** Keys by how long they may still be served, in steps of `HISTOGRAM_SECONDS`; the last: longer. */
  readonly lives: readonly number[]
  readonly isSampled: boolean
}

export const HISTOGRAM_SECONDS = [10, 60, 300, 3_600, 86_400] as const
/** Weighed of each namespace, and of each step of the scan. */
const SAMPLE = 500
const SAMPLE_OF_STEP = 50

interface Tallied {
  keys: number
  weighed: number
  bytes: number
  readonly lives: number[]
}

/** Walks the key space for `budgetMs` at most. @throws RedisUnavailable, RedisTimeout */
export async function surveyNamespaces(
  scope: Scope,
  budgetMs: number,
): Promise<ReadonlyMap<string, NamespaceSurvey>> {
  const { store, clock } = scope.core
  const { seen, isWhole } = await walk(scope, store, clock, budgetMs)
  const surveys = [...seen].map(([namespace, { keys, weighed, bytes, lives }]) => {
    const share = weighed === 0 ? 0 : keys / weighed
    const survey = {
      keys,
      bytes: Math.round(bytes * share),
      lives: lives.map((count) => Math.round(count * share)),
      isSampled: !isWhole || weighed < keys,
    }
    return [namespace, survey] as const
  })
  return new Map(surveys)
}

async function walk(scope: Scope, store: CacheStore, clock: Clock, budgetMs: number) {
  const end = clock.mono() + budgetMs
  const seen = new Map<string, Tallied>()
  for await (const { keys, next } of store.scan(`${scope.prefix}*`)) {
    const sample: string[] = []
    const ofStep = new Map<Tallied, number>()
    for (const key of keys) {
      const one = tallied(seen, namespaceOf(key))
      one.keys++
      const taken = ofStep.get(one) ?? 0
      if (taken >= SAMPLE_OF_STEP || one.weighed + taken >= SAMPLE) continue
      ofStep.set(one, taken + 1)
      sample.push(key)
    }
    for (const [i, weight] of (await store.weigh(sample)).entries()) {
      const one = tallied(seen, namespaceOf(sample[i]!))
      if (!weight) continue
      one.weighed++
      one.bytes += weight.bytes
      const step = HISTOGRAM_SECONDS.findIndex((seconds) => weight.staleMs < seconds * 1_000)
      one.lives[step < 0 ? HISTOGRAM_SECONDS.length : step]!++
    }
    if (next !== undefined && clock.mono() >= end) return { seen, isWhole: false }
  }
  return { seen, isWhole: true }
}

const namespaceOf = (name: string): string =>
  name.slice(0, Math.max(0, name.lastIndexOf(NAMESPACE_SEPARATOR)))

function tallied(seen: Map<string, Tallied>, namespace: string): Tallied {
  let one = seen.get(namespace)
  if (!one) {
    one = { keys: 0, weighed: 0, bytes: 0, lives: new Array(HISTOGRAM_SECONDS.length + 1).fill(0) }
    seen.set(namespace, one)
  }
  return one
}
