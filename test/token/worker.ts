/** A process of an application that uses tokens; driven by processes.test.ts. */
import { connectRedis } from '../../src/redis/connect.ts'
import { createTokens } from '../../src/token/tokens.ts'
import { serve } from '../support/processes.ts'
import { CLIENT } from '../support/token-server.ts'

// Generous: many processes start at once on few cores.
const redis = connectRedis(process.env.REDIS_URL ?? '', { handshakeMs: 10_000, deadAfterMs: 10_000 })
const grant = process.env.GRANT === 'refresh_token' ? 'refresh_token' : 'client_credentials'
const make = () =>
  createTokens({
    redis,
    namespace: 'workers',
    tokenUrl: process.env.TOKEN_URL ?? '',
    ...CLIENT,
    grant,
    storeDeadline: '5s',
  })
const tokens = make()
const mine = grant === 'refresh_token' ? tokens.for('user:1') : tokens
await redis.ready(25_000)

serve(
  {
    async many({ count }) {
      const got = await Promise.all(Array.from({ length: Number(count) }, () => mine.get()))
      return { tokens: [...new Set(got)], counters: mine.counters() }
    },
    /** As many processes would: clients that know nothing of each other, with callers each. */
    async clients({ clients, count }) {
      const group = Array.from({ length: Number(clients) }, make)
      const callers = group.flatMap((each) => Array.from({ length: Number(count) }, () => each.get()))
      return { tokens: [...new Set(await Promise.all(callers))] }
    },
    async drop({ token }) {
      return mine.invalidate(String(token))
    },
    async exchange() {
      await mine.exchange({ code: 'good-code' })
    },
  },
  () => redis.close(),
)
