import { scanNodes } from '../../redis/name-scan.ts'
import type { RedisNode } from '../../redis/port.ts'
import type { ScanBatch } from '../store.ts'
import { type Layout, matchEverywhere, matchTags } from './layout.ts'

/** Where a namespace is looked for. */
export interface ScanPlace {
  readonly nodes: readonly RedisNode[]
  readonly layouts: readonly Layout[]
  readonly namespace: string
  /** ms, of one step. */
  readonly deadline: number
}

/** Key names of the cache that match. `from` is the `next` of an earlier batch. */
export function scanKeys(place: ScanPlace, glob: string, from?: string): AsyncGenerator<ScanBatch> {
  const { nodes, layouts, namespace, deadline } = place
  const pick = firstOf(layouts, (layout, redisKey) => layout.keyOf(redisKey))
  return scanNodes(nodes, matchEverywhere(namespace, glob), deadline, pick, from)
}

/** Tags whose versions are kept; one that is used in several buckets comes once for each. */
export function scanTags(place: ScanPlace, glob: string, from?: string): AsyncGenerator<ScanBatch> {
  const { nodes, layouts, namespace, deadline } = place
  const pick = firstOf(layouts, (layout, redisKey) => layout.tagOf(redisKey))
  return scanNodes(nodes, matchTags(namespace, glob), deadline, pick, from)
}

function firstOf(
  layouts: readonly Layout[],
  read: (layout: Layout, redisKey: string) => string | undefined,
): (redisKey: string) => string | undefined {
  return (redisKey) => {
    for (const layout of layouts) {
      const name = read(layout, redisKey)
      if (name !== undefined) return name
    }
    return undefined
  }
}

/** Most names that are remembered: some 10 MB. */
const REMEMBERED = 100_000

/**
 * Tells a name that SCAN lists a second time, as it may while the server resizes its table, as long as
 * it comes back within the last 50,000 to 100,000: a count must not take memory for each of a million.
 */
export class RecentNames {
  #young = new Set<string>()
  #old = new Set<string>()

  isNew(name: string): boolean {
    if (this.#young.has(name) || this.#old.has(name)) return false
    if (this.#young.size >= REMEMBERED / 2) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(name)
    return true
  }
}
