/** The worker of `redis-once.test.ts`: runs a plan in steps, as slowly as it is told. */
import { createOnce, type OnceOptions } from '../../src/once/once.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { PATIENT_DIAL } from '../support/patience.ts'
import { type Message, serve, tell } from '../support/processes.ts'

const redis = connectRedis(process.env.REDIS_URL ?? '', PATIENT_DIAL)
const once = createOnce({ redis, namespace: 'test' })
await redis.ready(20_000)

interface Job extends OnceOptions {
  readonly key: string
  readonly stepMs: number
}

serve({
  /** Two steps; the parent hears of each. Resolves with the result or the code of the error. */
  async plan(message: Message) {
    const { key, stepMs, lease, onCrash, wait } = message as Message & Job
    try {
      return await once(
        key,
        async (step) => {
          for (const name of ['first', 'second']) {
            await step(name, async () => {
              tell({ began: name, before: step.before, token: step.fencingToken })
              await new Promise((resolve) => setTimeout(resolve, stepMs))
              return name
            })
          }
          return `by ${process.pid}`
        },
        { lease, onCrash, wait },
      )
    } catch (error) {
      return (error as { code?: string }).code
    }
  },
})
