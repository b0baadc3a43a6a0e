import { HoldfastError } from '../../base/errors.ts'
import type { QueueStats } from '../../queue/options.ts'
import type { Queue } from '../../queue/queue.ts'
import type { QueueAnswer, QueueToggled } from '../answers/queues.ts'
import { Refused } from '../problem.ts'
import { iso } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

export const queueRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/queues',
    permission: 'queues.read',
    summary: 'Queues of this process, and with Redis those of others: depth, age, workers, dead letters.',
    answers: 'array',
    handle: async ({ hf }): Promise<readonly QueueAnswer[]> =>
      Promise.all((await hf.operations.queues()).map(answerOf)),
  },
  {
    method: 'POST',
    path: '/api/v1/queues/:name/pause',
    permission: 'queues.control',
    summary: 'No worker, in any process, begins another batch. Adding goes on.',
    body: {},
    handle: (context) => toggle(context, true),
  },
  {
    method: 'POST',
    path: '/api/v1/queues/:name/resume',
    permission: 'queues.control',
    summary: 'Workers begin again.',
    body: {},
    handle: (context) => toggle(context, false),
  },
]

/** @throws Refused (404) */
export async function queueOf({ hf, params }: RouteContext): Promise<Queue<unknown>> {
  const queue = (await hf.operations.queues()).find(({ name }) => name === params.name)
  if (queue) return queue
  throw new Refused(404, 'There is no queue of this name.')
}

async function answerOf(queue: Queue<unknown>): Promise<QueueAnswer> {
  const { durability, partitions } = queue.setup
  const owned = new Set(queue.owned)
  let stats: QueueStats | undefined = queue.known
  let error: string | undefined
  try {
    stats = await queue.stats()
  } catch (cause) {
    error = cause instanceof HoldfastError ? cause.code : 'unknown'
  }
  const spilled = stats?.spilled ?? 0
  return {
    name: queue.name,
    backend: stats?.backend ?? 'bullmq',
    durability,
    waiting: (stats?.depth ?? 0) - spilled,
    active: 0,
    delayed: 0,
    failed: stats?.dead ?? 0,
    oldestSeconds: Math.round((stats?.oldestMs ?? 0) / 1_000),
    paused: stats?.paused ?? false,
    workers: stats?.workers ?? 0,
    partitions: Array.from({ length: partitions }, (_, index) => ({ index, owned: owned.has(index) })),
    ...(spilled > 0 ? { spill: spilled } : {}),
    asOf: stats === undefined ? null : iso(stats.asOf),
    ...(error === undefined ? {} : { error }),
  }
}

async function toggle(context: RouteContext, paused: boolean): Promise<QueueToggled> {
  const queue = await queueOf(context)
  if (paused) await queue.pause()
  else await queue.resume()
  await context.record(paused ? 'queues.pause' : 'queues.resume', queue.name, 'done')
  return { name: queue.name, paused }
}
