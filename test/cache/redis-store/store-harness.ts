import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { createRedisStore } from '../../../src/cache/redis-store/redis-store.ts'
import type { CacheStore, Draft, Entry, Lease, ReadReply } from '../../../src/cache/store.ts'
import { connectRedis, type RedisSource } from '../../../src/redis/connect.ts'
import type { RedisPort } from '../../../src/redis/port.ts'
import { until } from '../../support/until.ts'

/** One process as the store sees it: its own connections, its own local copies. */
export interface Peer {
  readonly port: RedisPort
  readonly store: CacheStore
  close(): Promise<void>
}

let names = 0

/** A namespace that no other test uses. */
export const freshNamespace = (): string => `t${process.pid}-${++names}`

export async function openPeer(
  source: RedisSource,
  namespace: string,
  options: { l1?: boolean; buckets?: number; patient?: boolean; invalidate?: number } = {},
): Promise<Peer> {
  // Where outages are not the subject, a machine busy with other tests must not make one.
  const patient = options.patient ?? true
  const settings = { handshakeMs: 10_000, deadAfterMs: 10_000, breakAfter: 1_000 }
  const port = connectRedis(source, patient ? settings : {})
  await port.ready(30_000)
  const store = createRedisStore({
    port,
    namespace,
    l1: options.l1 === false ? false : {},
    clock: systemClock,
    random: systemRandom,
    buckets: options.buckets,
    ...(patient
      ? { deadlines: { read: 5_000, write: 5_000, invalidate: options.invalidate ?? 10_000 } }
      : {}),
  })
  return {
    port,
    store,
    async close() {
      await store.close()
      await port.close()
    },
  }
}

export function draft(value: unknown, options: Partial<Draft> = {}): Draft {
  return {
    body: JSON.stringify(value),
    flags: '',
    tags: [],
    ttlMs: 60_000,
    staleMs: 0,
    loadMs: 1,
    etag: undefined,
    ...options,
  }
}

export async function granted(store: CacheStore, key: string, tags: readonly string[] = []): Promise<Lease> {
  let reply = await store.lease(key, tags)
  // The machine paused, not the server: preparing a test is not the test.
  for (let more = 20; reply.state === 'down' && more > 0; more--) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    reply = await store.lease(key, tags)
  }
  if (reply.state !== 'granted') throw new Error(`the lease was ${reply.state}`)
  return reply.lease
}

/** Lease and fill in one go. */
export async function store(target: CacheStore, key: string, value: unknown, options: Partial<Draft> = {}) {
  const lease = await granted(target, key, options.tags ?? [])
  return target.fill(lease, draft(value, options))
}

export function valueIn(reply: ReadReply | Entry | undefined): unknown {
  const entry =
    reply !== undefined && 'state' in reply ? (reply.state === 'found' ? reply.entry : undefined) : reply
  return entry === undefined ? undefined : JSON.parse(String(entry.body))
}

/** Reads until the value is served from process memory. */
export async function warmL1(peer: Peer, key: string): Promise<void> {
  await until('the copy is served from process memory', async () => {
    await peer.store.read(key, [])
    return peer.store.peek(key)
  })
}
