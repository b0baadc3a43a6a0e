import { scanNodes } from '../../redis/name-scan.ts'
import type { RedisNode } from '../../redis/port.ts'
import type { ScanBatch } from '../store.ts'
import { type Layout, matchEverywhere } from './layout.ts'

/** Key names of the cache on these nodes that match. `from` is the `next` of an earlier batch. */
export function scanKeys(
  nodes: readonly RedisNode[],
  layouts: readonly Layout[],
  namespace: string,
  glob: string,
  deadline: number,
  from?: string,
): AsyncGenerator<ScanBatch> {
  return scanNodes(nodes, matchEverywhere(namespace, glob), deadline, among(layouts, 'keyOf'), from)
}

function among(layouts: readonly Layout[], read: 'keyOf'): (redisKey: string) => string | undefined {
  return (redisKey) => {
    for (const layout of layouts) {
      const name = layout[read](redisKey)
      if (name !== undefined) return name
    }
    return undefined
  }
}
