/** One process of `outbound-processes.test.ts`: asks a remote API through the policy cache and through undici's. */
import { Agent, interceptors, request as undiciRequest } from 'undici'
import { holdfast } from '../../src/holdfast.ts'
import { outbound } from '../../src/http/outbound.ts'
import { undiciStore } from '../../src/undici/store.ts'
import { serve } from '../support/processes.ts'

const base = process.env.ORIGIN_URL!
const hf = holdfast({
  redis: process.env.REDIS_URL!,
  namespace: 'outbound-processes',
  // About what is shared, not about haste.
  deadlines: { read: '5s', write: '5s' },
})
await hf.ready('20s')
const call = outbound(fetch, {
  cache: hf.cache,
  identity: ({ headers }) => headers.get('x-user') ?? undefined,
  routes: [{ name: 'api', match: `GET ${base}/*`, ttl: '5m', tags: ['api'] }],
})
const store = undiciStore({ cache: hf.cache })
const dispatcher = new Agent().compose(interceptors.cache({ store }))

serve(
  {
    ask: async ({ path, times, user }) => {
      const headers = { 'x-user': String(user), authorization: `Bearer ${process.pid}` }
      const one = async () => (await call(base + String(path), { headers })).text()
      return Promise.all(Array.from({ length: Number(times) }, one))
    },
    undici: async ({ path }) => (await undiciRequest(base + String(path), { dispatcher })).body.text(),
    stored: () => store.stats().stored,
    invalidate: () => hf.cache.invalidateTag('api'),
    stats: () => call.stats().api,
  },
  () => hf.close(),
)
