import { describe } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { startWorker } from '../support/processes.ts'
import { startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { FRAMEWORKS, type Framework } from './app.ts'
import { adapterContract, type Pair } from './contract.ts'
import { memoryTruth, Shop } from './shop.ts'
import { startOf } from './start.ts'

describe.each(FRAMEWORKS)('%s', (framework) => {
  adapterContract('in process memory', () => embedded(framework))
  adapterContract('two processes on one Redis', () => processes(framework))
})

async function embedded(framework: Framework): Promise<Pair> {
  const shop = new Shop(holdfast({ namespace: 'contract' }), memoryTruth())
  const app = await (await startOf(framework))(shop)
  return {
    urls: [app.url, app.url],
    calls: async (name) => shop.calls[name] ?? 0,
    purge: async (tag) => void (await shop.holdfast.cache.invalidateTag(tag)),
    seed: (id, title) => shop.truth.set(id, { title, version: 1 }),
    close: () => app.close(),
  }
}

async function processes(framework: Framework): Promise<Pair> {
  const redis = await startRedis()
  const start = () =>
    startWorker(new URL('./worker.ts', import.meta.url), {
      args: [framework, 'contract'],
      env: { REDIS_URL: redis.url },
    })
  const workers = await Promise.all([start(), start()])
  const [first, second] = workers
  for (const worker of workers)
    await until('the cache keeps values', () => worker.ask<boolean>({ op: 'keeps' }))
  return {
    urls: [await first.ask<string>({ op: 'url' }), await second.ask<string>({ op: 'url' })],
    async calls(name) {
      const all = await Promise.all(
        workers.map((worker) => worker.ask<Record<string, number>>({ op: 'calls' })),
      )
      return all.reduce((sum, calls) => sum + (calls[name] ?? 0), 0)
    },
    purge: (tag) => first.ask({ op: 'purge', tag }),
    seed: (task, title) => first.ask({ op: 'seed', task, title }),
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()))
      await redis.stop()
    },
  }
}
