/**
 * The worker of `processes.test.ts`: takes the lock again and again, and writes to a table that its
 * parent keeps, with the fencing token.
 */
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { type Message, serve, tell } from '../support/processes.ts'
import { connectResp } from '../support/resp.ts'

const url = new URL(process.env.REDIS_URL ?? '')
const skewMs = Number(process.env.CLOCK_SKEW_MS ?? 0)
const realNow = Date.now
Date.now = () => realNow() + skewMs

const redis = connectRedis(url.href)
const locks = new Locks({ redis, namespace: 'test' })
const answers = new Map<number, (accepted: boolean) => void>()
let writes = 0

/** Asks the parent to write under this token; resolves with whether the table took it. */
function write(token: number): Promise<boolean> {
  const write = ++writes
  return new Promise((resolve) => {
    answers.set(write, resolve)
    tell({ write, token })
  })
}

/** The test sends what the handler expects: it is the same file's neighbour. */
const given = <T>(message: Message): T => message as T

// A process that has just started may wait for its first connection.
await redis.ready(20_000)

serve({
  answer(message) {
    const { write, accepted } = given<{ write: number; accepted: boolean }>(message)
    answers.get(write)?.(accepted)
    answers.delete(write)
  },

  /** A number of turns under the lock; says whether anybody else was ever inside at the same time. */
  async turns(message) {
    const { name, count, ttl } = given<{ name: string; count: number; ttl: number }>(message)
    const probe = await connectResp({ port: Number(url.port) })
    const tokens: number[] = []
    let overlaps = 0
    let refused = 0
    for (let turn = 0; turn < count; turn++) {
      await locks.lock(name, { ttl, wait: '30s' }).run(async ({ fencingToken }) => {
        if ((await probe.send('INCR', `inside:${name}`)) !== 1) overlaps++
        tokens.push(fencingToken)
        if (!(await write(fencingToken))) refused++
        await probe.send('DECR', `inside:${name}`)
      })
    }
    probe.close()
    return { tokens, overlaps, refused }
  },

  /** Goes on until told to stop, whatever happens to it and to the server. */
  async storm(message) {
    const { name, ttl, ms } = given<{ name: string; ttl: number; ms: number }>(message)
    const end = performance.now() + ms
    const seen = { accepted: 0, refused: 0, lost: 0, unavailable: 0, timeout: 0 }
    while (performance.now() < end) {
      try {
        await locks.lock(name, { ttl, wait: '2s' }).run(
          async ({ fencingToken, signal }) => {
            tell({ inside: true })
            await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 60))
            // As careless as a process can be: it writes although its lock may be lost.
            if (signal.aborted) seen.lost++
            seen[(await write(fencingToken)) ? 'accepted' : 'refused']++
          },
          { onLost: 'return' },
        )
      } catch (error) {
        const code = String((error as { code?: string }).code)
        if (code === 'LOCK_UNAVAILABLE') seen.unavailable++
        else if (code === 'LOCK_TIMEOUT') seen.timeout++
        else throw error
      }
    }
    return seen
  },

  /** Takes the lock and keeps it until told to write. */
  async hold(message) {
    const { name, ttl } = given<{ name: string; ttl: number }>(message)
    const lease = await locks.lock(name, { ttl, wait: '10s' }).acquire()
    held = lease
    return lease.fencingToken
  },
  async writeLate() {
    if (!held) throw new Error('holds nothing')
    return { accepted: await write(held.fencingToken), lost: held.lost }
  },
  /** Only stands in line. */
  queue(message) {
    void locks.lock(given<{ name: string }>(message).name).acquire({ wait: '30s' })
  },
})

let held: Awaited<ReturnType<ReturnType<Locks['lock']>['acquire']>> | undefined
