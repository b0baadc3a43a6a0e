/** What happens to servers and networks in an attack. Each fault ends what it began. */
import type { TestProxy } from '../support/proxy.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { type Fault, pause } from './run.ts'

const between = (low: number, high: number): number => low + Math.random() * (high - low)

export function serverFaults(redis: RedisServer): Fault[] {
  return [
    { name: 'CLIENT KILL', strike: () => redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') },
    { name: 'CLIENT KILL pubsub', strike: () => redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub') },
    { name: 'CLIENT PAUSE', strike: () => redis.cli('CLIENT', 'PAUSE', Math.round(between(50, 400)), 'ALL') },
    { name: 'SCRIPT FLUSH', strike: () => redis.cli('SCRIPT', 'FLUSH') },
    { name: 'FLUSHALL', strike: () => redis.cli('FLUSHALL') },
    {
      name: 'server frozen',
      async strike() {
        redis.pause()
        await pause(between(50, 1_500))
        redis.resume()
      },
    },
    {
      name: '40 random keys evicted',
      async strike() {
        for (let n = 0; n < 40; n++) {
          const name = await redis.cli('RANDOMKEY')
          if (name !== null) await redis.cli('DEL', String(name))
        }
      },
    },
    {
      name: 'out of memory',
      async strike() {
        await redis.cli('CONFIG', 'SET', 'maxmemory', '1mb')
        await pause(between(200, 800))
        await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
      },
    },
    {
      name: 'kill -9, back with an old snapshot',
      async strike() {
        await redis.cli('SAVE')
        await pause(between(100, 600))
        await redis.kill()
        await pause(between(0, 300))
        await redis.restart({ keepData: true })
      },
    },
  ]
}

export function networkFaults(proxies: readonly TestProxy[]): Fault[] {
  const any = (): TestProxy => proxies[Math.floor(Math.random() * proxies.length)]!
  const during = async (start: (proxy: TestProxy) => void): Promise<void> => {
    const proxy = any()
    start(proxy)
    await pause(between(100, 1_800))
    proxy.heal()
  }
  return [
    { name: 'connections cut', strike: async () => any().cut() },
    { name: 'black hole', strike: () => during((proxy) => proxy.blackHole(true)) },
    { name: 'requests lost', strike: () => during((proxy) => proxy.halfOpen('requests')) },
    { name: 'replies lost', strike: () => during((proxy) => proxy.halfOpen('replies')) },
    { name: 'slow network', strike: () => during((proxy) => proxy.latency(40)) },
  ]
}

/**
 * A failover that loses acknowledged writes, back and forth between two servers: replication is
 * cut, the master goes on acknowledging for a while, then it is demoted or killed and the other,
 * which knows nothing of that, becomes the master.
 */
export function lossyFailover(pair: [RedisServer, RedisServer], proxies: readonly TestProxy[]): Fault {
  return {
    name: 'failover that lost writes',
    async strike() {
      const [master, replica] = pair
      await until('the replica is in sync', async () =>
        String(await replica.cli('INFO', 'replication')).includes('master_link_status:up'),
      )
      // Promoted in secret: from here on it misses what the master acknowledges.
      await replica.cli('REPLICAOF', 'NO', 'ONE')
      await pause(between(100, 1_000))
      if (Math.random() < 0.5) {
        await master.kill()
        for (const proxy of proxies) proxy.retarget(replica.port)
        for (const proxy of proxies) proxy.cut()
        await master.restart({ keepData: true })
      } else {
        for (const proxy of proxies) proxy.retarget(replica.port)
        for (const proxy of proxies) proxy.cut()
      }
      await master.cli('REPLICAOF', '127.0.0.1', String(replica.port))
      pair[0] = replica
      pair[1] = master
    },
  }
}
