import { InvalidOption } from '../base/errors.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Reply } from './link.ts'
import type { RedisNode } from './port.ts'

/** Measured: above 1,000 other clients' p99 suffers, below 500 the scan does. */
const COUNT = '750'

/**
 * Key names on these nodes that match, by SCAN: never KEYS. One batch per reply, empty ones too, so
 * that the caller can stop in time. `from` is the `next` of an earlier batch.
 * @param pick the name to hand out for a Redis key; undefined leaves it out
 */
export async function* scanNodes(
  nodes: readonly RedisNode[],
  match: string,
  deadline: number,
  pick: (redisKey: string) => string | undefined,
  from = '0.0',
): AsyncGenerator<NameBatch> {
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
        keys: names.flatMap((name) => pick(String(name)) ?? []),
        next: isEnd ? undefined : next === '0' ? `${at + 1}.0` : `${at}.${next}`,
      }
    } while (cursor !== '0')
  }
}
