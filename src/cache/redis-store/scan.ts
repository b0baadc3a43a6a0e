import { InvalidOption } from '../../base/errors.ts'
import type { Reply } from '../../redis/link.ts'
import type { RedisNode } from '../../redis/port.ts'
import type { ScanBatch } from '../store.ts'
import { type Layout, matchEverywhere } from './layout.ts'

/** Measured: above 1,000 other clients' p99 suffers, below 500 the scan does. */
const COUNT = '750'

/**
 * Key names of the cache on these nodes that match, by SCAN: never KEYS. One batch per reply, empty
 * ones too, so that the caller can stop in time. `from` is the `next` of an earlier batch.
 */
export async function* scanKeys(
  nodes: readonly RedisNode[],
  layouts: readonly Layout[],
  namespace: string,
  glob: string,
  deadline: number,
  from = '0.0',
): AsyncGenerator<ScanBatch> {
  const match = matchEverywhere(namespace, glob)
  const start = /^(\d{1,4})\.(\d{1,20})$/.exec(from)
  if (start === null) throw new InvalidOption('the cursor is none of a scan', 'pass it on as it was given')
  let cursor = start[2]!
  for (let at = Number(start[1]); at < nodes.length; at++) {
    do {
      const reply = await nodes[at]!.send(['SCAN', cursor, 'MATCH', match, 'COUNT', COUNT], { deadline })
      const [next, names] = reply as [string, Reply[]]
      cursor = next
      const isEnd = next === '0' && at === nodes.length - 1
      yield {
        keys: keysAmong(names as string[], layouts),
        next: isEnd ? undefined : next === '0' ? `${at + 1}.0` : `${at}.${next}`,
      }
    } while (cursor !== '0')
  }
}

function keysAmong(names: readonly string[], layouts: readonly Layout[]): string[] {
  const keys: string[] = []
  for (const name of names) {
    for (const layout of layouts) {
      const key = layout.keyOf(name)
      if (key !== undefined) {
        keys.push(key)
        break
      }
    }
  }
  return keys
}
