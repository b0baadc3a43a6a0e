/** One process of the adapter contract: serves the shop by one framework, on a Redis that others share. */
import { holdfast } from '../../src/holdfast.ts'
import { serve } from '../support/processes.ts'
import type { Framework } from './app.ts'
import { redisTruth, Shop } from './shop.ts'
import { startOf } from './start.ts'

const [framework = '', namespace = ''] = process.argv.slice(2)
/** Patient: the machine may be busy, and what is tested is not haste. */
const deadlines = { connect: '5s', read: '5s', write: '5s', invalidate: '10s' } as const
const hf = holdfast({ redis: process.env.REDIS_URL, namespace, deadlines })
await hf.ready('20s')
const shop = new Shop(hf, redisTruth(hf))
const app = await (await startOf(framework as Framework))(shop)

serve(
  {
    url: () => app.url,
    /** A namespace that has just begun keeps nothing for a moment. */
    keeps: async () => (await hf.cache.set('warm', 1)) && (await hf.cache.get('warm')) === 1,
    calls: () => shop.calls,
    purge: async ({ tag }) => hf.cache.invalidateTag(String(tag)),
    seed: async ({ task, title }) => shop.truth.set(String(task), { title: String(title), version: 1 }),
    close: async () => app.close(),
    health: () => hf.health().status,
  },
  () => hf.close(),
)
