import type { Clock } from '../base/clock.ts'
import { ConfigError } from '../base/errors.ts'
import { encodePart } from '../base/key.ts'
import type { Random } from '../base/random.ts'
import { Registry } from '../base/registry.ts'
import type { BullmqConnection } from './bullmq/connection.ts'
import { knownQueues } from './bullmq/known-queues.ts'
import { createQueue, type QueueRedis } from './create.ts'
import type { QueueOptions, QueueStats } from './options.ts'
import type { Queue } from './queue.ts'

export interface QueuesSetup {
  readonly namespace: string
  readonly clock: Clock
  readonly random: Random
  /** Asked when something first needs a connection; `undefined` without Redis. */
  readonly redis: () => QueueRedis | undefined
}

/** The queues of one instance, and its connection for queues that are none of ours. */
export class Queues {
  readonly #setup: QueuesSetup
  readonly #queues = new Registry<Queue<never>>('hf.queue()')
  readonly #visited = new Map<string, Queue<never>>()

  constructor(setup: QueuesSetup) {
    this.#setup = setup
  }

  queue<T>(name: string, options: QueueOptions<T> = {}): Queue<T> {
    const { redis, ...parts } = this.#setup
    const make = (): Queue<never> =>
      createQueue<T>({ ...options, ...parts, name, redis: redis() }) as unknown as Queue<never> // see below
    // One name, one kind of message: its type is the caller's word, as in any store.
    return this.#queues.obtain(name, options, make) as unknown as Queue<T>
  }

  /** @throws ConfigError without Redis */
  bullmq(): BullmqConnection {
    const redis = this.#setup.redis()
    if (!redis)
      throw new ConfigError('BullMQ needs Redis, and this instance has none', 'give holdfast({ redis })')
    // One hash tag for all, so that flows over several queues stay on one node of a Cluster.
    return {
      connection: redis.bullmq(),
      prefix: `hf:${encodePart(this.#setup.namespace, 'namespace')}:{jobs}`,
    }
  }

  /**
   * The queues of this process, and with Redis those that others use, opened for looking at them and for
   * their dead letters alone. What Redis does not tell is left out.
   */
  async all(): Promise<readonly Queue<unknown>[]> {
    const own = new Map([...this.#queues.values()].map((queue) => [queue.name, queue]))
    const redis = this.#setup.redis()
    const others = redis ? await knownQueues(redis.port, this.#setup.namespace).catch(() => []) : []
    for (const { name, partitions } of others) {
      if (!own.has(name)) own.set(name, this.#visit(name, partitions))
    }
    // As everywhere here: whoever asks without a type gets messages without one.
    return [...own.values()] as unknown as Queue<unknown>[]
  }

  /** Not among those of `queue()`: the application may open it later, with options of its own. */
  #visit(name: string, partitions: number): Queue<never> {
    const { redis, ...parts } = this.#setup
    const known = this.#visited.get(name)
    if (known) return known
    const queue: Queue<never> = createQueue<never>({ ...parts, name, partitions, redis: redis() })
    this.#visited.set(name, queue)
    return queue
  }

  /** What is known of each queue without asking. */
  known(): readonly QueueStats[] {
    return [...this.#queues.values()].flatMap((queue) => queue.known ?? [])
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values(), ...this.#visited.values()].map((queue) => queue.close()))
  }
}
