import { decodeName, encodePart } from '../../base/key.ts'
import { namePage, pageRequest } from '../../base/page.ts'
import { firstConnection } from '../../redis/first-connection.ts'
import { scanNodes } from '../../redis/name-scan.ts'
import type { RedisPort } from '../../redis/port.ts'
import { queuePlace } from './layout.ts'

export interface KnownQueue {
  readonly name: string
  readonly partitions: number
}

const SCAN_MS = 2_000
const MOST = 100

/**
 * The queues that somebody has used in this namespace, at most 100, as far as a look of two seconds comes.
 * @throws RedisUnavailable, RedisTimeout
 */
export async function knownQueues(port: RedisPort, namespace: string): Promise<readonly KnownQueue[]> {
  await firstConnection(port)
  const prefix = `hf:${encodePart(namespace, 'namespace')}:queue:{`
  const pick = (key: string): string => decodeName(key.slice(prefix.length, -'}:about'.length))
  const scan = (from: string | undefined) => scanNodes(port.nodes(), `${prefix}*}:about`, SCAN_MS, pick, from)
  const { names } = await namePage(scan, pageRequest(port.clock, { limit: MOST, budget: '2s' }))
  const found = [...new Set(names)].map(async (name) => {
    const { about } = queuePlace(namespace, name, 1)
    const fixed = await port.nodeFor(about).send(['HGET', about, 'partitions'], { deadline: SCAN_MS })
    return { name, partitions: Number(fixed) }
  })
  return (await Promise.all(found)).filter(({ partitions }) => partitions > 0)
}
