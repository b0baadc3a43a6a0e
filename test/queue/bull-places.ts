/** Queues in a real Redis, as several processes have them: each view with connections of its own. */
import { createQueue, type QueueRedis, queueRedis } from '../../src/queue/create.ts'
import type { QueueOptions } from '../../src/queue/options.ts'
import type { Queue } from '../../src/queue/queue.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { PATIENT } from '../support/redis-cache.ts'

export interface Note {
  readonly session: string
  readonly n: number
}

export const notes = (session: string, count: number, from = 0): Note[] =>
  Array.from({ length: count }, (_, i) => ({ session, n: from + i }))

export class View {
  readonly redis: QueueRedis
  readonly #port: RedisPort
  readonly #queues: { close(): Promise<void> }[] = []

  constructor(source: RedisSource, settings: Partial<Parameters<typeof connectRedis>[1]> = PATIENT) {
    this.#port = connectRedis(source, settings)
    this.redis = queueRedis(this.#port, () =>
      connectRedis(source, { ...PATIENT, deadAfterMs: 20_000, recheckMs: 3_600_000 }),
    )
  }

  get port(): RedisPort {
    return this.#port
  }

  queue<T = Note>(name: string, options: QueueOptions<T> = {}): Queue<T> {
    const queue = createQueue<T>({
      ...{ deadline: 5_000, grace: 200, takeover: 1_500 },
      ...options,
      ...{ name, namespace: 'test', redis: this.redis },
    })
    this.#queues.push(queue)
    return queue
  }

  /** As the operating system ends a process: nothing is given back. */
  crash(): Promise<void> {
    return this.#port.close()
  }

  async close(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.close()))
    await this.#port.close()
  }
}
