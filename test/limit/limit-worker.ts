/** One process of `processes.test.ts`: hammers one limiter and reports what was admitted. */
import { createLimiter } from '../../src/limit/limiter.ts'
import type { Algorithm } from '../../src/limit/spec.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { serve } from '../support/processes.ts'

const skewMs = Number(process.env.CLOCK_SKEW_MS ?? 0)
const realNow = Date.now
Date.now = () => realNow() + skewMs

const redis = connectRedis(process.env.REDIS_URL!)
await redis.ready(20_000)

serve(
  {
    async hammer({ name, limits, algorithm, ms, denyCache }) {
      const limiter = createLimiter({
        redis,
        name: String(name),
        limits: String(limits),
        algorithm: algorithm as Algorithm,
        denyCache: Number(denyCache),
        onUnavailable: 'deny',
        deadline: 2_000,
      })
      const admitted: number[] = []
      let asked = 0
      let degraded = 0
      const end = performance.now() + Number(ms)
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          while (performance.now() < end) {
            const decision = await limiter.consume('one')
            asked++
            if (decision.degraded) {
              degraded++
              // Refused at once while the connection is down: let it come back.
              await new Promise((resolve) => setTimeout(resolve, 5))
            }
            if (decision.allowed) admitted.push(decision.at)
            // Answers from memory never wait: let the replies in.
            if (decision.cached) await new Promise((resolve) => setImmediate(resolve))
          }
        }),
      )
      await limiter.close()
      return { admitted, asked, degraded }
    },
  },
  () => redis.close(),
)
