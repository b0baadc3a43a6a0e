/** Holdfast's lock beside a raw SET NX, redlock and redis-semaphore, in one run. Prints Markdown. */
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { Mutex } from 'redis-semaphore'
import { holdfast } from '../src/index.ts'
import { startRedis } from '../test/support/redis-server.ts'
import { type Contestant, formatDuration, measure, median, table } from './measure.ts'

const TTL = 10_000
const WAITERS = 50
const ROUNDS = 5
const RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

/** The part of both generations of redlock that is used here. */
interface Redlock4 {
  lock(resource: string, ttl: number): Promise<{ unlock(): Promise<unknown> }>
}
interface Redlock5 {
  acquire(resources: string[], ttl: number): Promise<{ release(): Promise<unknown> }>
}
type Maker<T> = new (clients: Redis[], options: object) => T

export async function benchLocks(): Promise<string> {
  const server = await startRedis()
  const ioredis = new Redis(server.port)
  const nodeRedis = await createClient({ url: server.url }).connect()
  const hf = holdfast({ redis: server.url })
  try {
    await hf.lock('warm').run(() => 1)
    const patient = { retryCount: 1_000, retryDelay: 10, retryJitter: 5 }
    // @ts-expect-error: it has no types of its own
    const redlock4 = new ((await import('redlock')).default as Maker<Redlock4>)([ioredis], patient)
    const redlock5 = new ((await import('redlock5')).default as unknown as Maker<Redlock5>)(
      [ioredis],
      patient,
    )
    let owner = 0

    const pairs: Contestant[] = [
      {
        name: 'raw node-redis: SET NX PX, compare and delete',
        async run(i) {
          const mine = String(owner++)
          await nodeRedis.set(`raw:${i}`, mine, { condition: 'NX', expiration: { type: 'PX', value: TTL } })
          await nodeRedis.eval(RELEASE, { keys: [`raw:${i}`], arguments: [mine] })
        },
      },
      { name: 'Holdfast (fencing, line, renewal)', run: (i) => hf.lock(`hf:${i}`).run(() => i) },
      { name: 'redlock 4', run: async (i) => (await redlock4.lock(`r4:${i}`, TTL)).unlock() },
      { name: 'redlock 5 beta', run: async (i) => (await redlock5.acquire([`r5:${i}`], TTL)).release() },
      {
        name: 'redis-semaphore',
        async run(i) {
          const mutex = new Mutex(ioredis, `rs:${i}`, { lockTimeout: TTL })
          await mutex.acquire()
          await mutex.release()
        },
      },
    ]
    const sections: string[] = []
    for (const concurrency of [1, 16, 128]) {
      const figures = await measure(pairs, { concurrency, operations: concurrency === 1 ? 1_000 : 4_000 })
      sections.push(table(`Lock and unlock, uncontended, concurrency ${concurrency}`, figures))
    }

    const takers: Record<string, (work: () => Promise<void>) => Promise<unknown>> = {
      Holdfast: (work) => hf.lock('line', { wait: '60s' }).run(work),
      'redlock 4 (polls every 10 ms)': async (work) => {
        const lock = await redlock4.lock('line4', TTL)
        await work()
        await lock.unlock()
      },
      'redis-semaphore (polls every 10 ms)': async (work) => {
        const mutex = new Mutex(ioredis, 'line', {
          lockTimeout: TTL,
          acquireTimeout: 60_000,
          retryInterval: 10,
        })
        await mutex.acquire()
        await work()
        await mutex.release()
      },
    }
    const rows: string[] = []
    for (const [name, take] of Object.entries(takers)) rows.push(await line(name, take))
    sections.push(
      [
        `### ${WAITERS} waiters in line for one lock, each holding it for a moment`,
        '',
        '| | commands for each | time in all | in the order of asking |',
        '|---|--:|--:|---|',
        ...rows,
        '',
      ].join('\n'),
    )
    return sections.join('\n')

    async function line(
      name: string,
      take: (work: () => Promise<void>) => Promise<unknown>,
    ): Promise<string> {
      const times: number[] = []
      const commands: number[] = []
      let ordered = 0
      for (let round = 0; round < ROUNDS; round++) {
        const order: number[] = []
        let open = (): void => {}
        const gate = new Promise<void>((resolve) => {
          open = resolve
        })
        const first = take(() => gate)
        await new Promise((resolve) => setTimeout(resolve, 20))
        const before = await commandsOf(server)
        const all = Array.from({ length: WAITERS }, (_, index) => take(async () => void order.push(index)))
        await new Promise((resolve) => setTimeout(resolve, 100))
        const started = performance.now()
        open()
        await Promise.all([first, ...all])
        times.push(performance.now() - started)
        commands.push(((await commandsOf(server)) - before) / WAITERS)
        if (order.every((value, index) => value === index)) ordered++
      }
      const cells = [
        name,
        median(commands).toFixed(1),
        formatDuration(median(times)),
        `${ordered} of ${ROUNDS} rounds`,
      ]
      return `| ${cells.join(' | ')} |`
    }
  } finally {
    await hf.close()
    ioredis.disconnect()
    nodeRedis.destroy()
    await server.stop()
  }
}

/** Client commands so far: SET, EVAL and EVALSHA, not what scripts do inside. */
async function commandsOf(server: Awaited<ReturnType<typeof startRedis>>): Promise<number> {
  const stats = String(await server.cli('INFO', 'commandstats'))
  const calls = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  return calls('eval') + calls('evalsha') + calls('set')
}
