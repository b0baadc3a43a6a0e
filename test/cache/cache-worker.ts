/** One process of `stampede.test.ts`: a cache of its own on the shared server. */
import { holdfast } from '../../src/holdfast.ts'
import { serve, tell } from '../support/processes.ts'

const hf = holdfast({
  redis: process.env.REDIS_URL!,
  namespace: 'stampede',
  deadlines: { connect: '5s', read: '5s', write: '5s' },
})
await hf.ready('30s')

serve(
  {
    /** `callers` calls at once for one key, whose source takes `loadMs`. */
    async rush({ key, callers, loadMs }) {
      let loads = 0
      const load = async () => {
        loads++
        tell({ loading: process.pid })
        await new Promise((resolve) => setTimeout(resolve, Number(loadMs)))
        return `value of ${key}`
      }
      const began = performance.now()
      const calls = Array.from({ length: Number(callers) }, () => hf.cache.getOrSet(String(key), load))
      const settled = await Promise.allSettled(calls)
      const good = settled.filter((one) => one.status === 'fulfilled' && one.value === `value of ${key}`)
      return { loads, good: good.length, ms: performance.now() - began }
    },
  },
  () => hf.close(),
)
