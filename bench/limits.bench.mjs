/**
 * Checks per second: Holdfast deciding three limits beside peers deciding one, and one beside one.
 *
 *   npm ci --prefix bench && npx tsx bench/limits.bench.mjs [--json] [--seconds 0.25] [--rounds 15] [--concurrency 128]
 *
 * Many short rounds are interleaved and the median is shown: the machine drifts, the order must not matter.
 * Starts its own redis-server on a free loopback port. Every call is admitted (limits are huge) and
 * goes to Redis, over 5,000 subjects.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ratelimit } from '@upstash/ratelimit'
import { Redis } from 'ioredis'
import { RedisStore as ExpressStore } from 'rate-limit-redis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { createClient } from 'redis'
import { createLimiter } from '../src/limit/limiter.ts'
import { connectRedis } from '../src/redis/connect.ts'
import { startRedis } from '../test/support/redis-server.ts'

const require = createRequire(import.meta.url)
const FastifyStore = require('@fastify/rate-limit/store/RedisStore')
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const seconds = option('seconds', 0.25)
const rounds = option('rounds', 15)
const CONCURRENCY = process.argv.includes('--concurrency') ? [option('concurrency', 128)] : [1, 16, 128]
const SUBJECTS = Array.from({ length: 5_000 }, (_, index) => `user${index}`)
const HUGE = 1_000_000_000

const server = await startRedis()
const ioredis = new Redis(server.port)
const nodeRedis = await createClient({ url: server.url }).connect()
const redis = connectRedis(server.url)
await redis.ready(5_000)

const limiter = (name, limits, algorithm) =>
  createLimiter({ redis, name, limits, algorithm, deadline: 10_000 })
const three = [`${HUGE}/second`, `${HUGE}/minute`, `${HUGE}/hour`]
const sliding3 = limiter('sliding3', three, 'sliding')
const gcra3 = limiter('gcra3', three, 'gcra')
const sliding1 = limiter('sliding1', three[1], 'sliding')
const gcra1 = limiter('gcra1', three[1], 'gcra')
const flexible = (storeClient) =>
  new RateLimiterRedis({
    storeClient,
    useRedisPackage: storeClient !== ioredis,
    points: HUGE,
    duration: 60,
    keyPrefix: `rlf${Math.random()}`,
  })
const flexibleIo = flexible(ioredis)
const flexibleNode = flexible(nodeRedis)
const express = new ExpressStore({ sendCommand: (...args) => ioredis.call(...args), prefix: 'erl:' })
express.init({ windowMs: 60_000 })
const fastify = new FastifyStore(false, false, ioredis, 'frl:')

/**
 * @upstash/ratelimit speaks HTTP to Upstash; this lets its own scripts run on a Redis. Their first
 * line names a flag that only Upstash knows and has to go.
 */
const sha = (text) => createHash('sha1').update(text).digest('hex')
const loaded = new Map()
const onRedis = {
  async evalsha(hash, keys, args) {
    const known = loaded.get(hash)
    if (!known) throw new Error('NOSCRIPT')
    return ioredis.evalsha(known, keys.length, ...keys, ...args)
  },
  async eval(script, keys, args) {
    const text = script.replace(/^#!lua[^\n]*/, '')
    loaded.set(sha(script), await ioredis.script('LOAD', text))
    return ioredis.eval(text, keys.length, ...keys, ...args)
  },
}
const upstash = (limiter) =>
  new Ratelimit({ redis: onRedis, limiter, ephemeralCache: false, prefix: `ups${Math.random()}` })
const upstashSliding = upstash(Ratelimit.slidingWindow(HUGE, '60 s'))
const upstashFixed = upstash(Ratelimit.fixedWindow(HUGE, '60 s'))
const expectSuccess = async (answer) => {
  const { success, reason } = await answer
  if (!success || reason) throw new Error(`upstash: ${success}, ${reason}`)
}

const expect = async (decision) => {
  const { allowed, degraded } = await decision
  if (!allowed || degraded) throw new Error(`allowed ${allowed}, degraded ${degraded}`)
}
const CONTESTANTS = {
  'holdfast, 3 sliding limits': (id) => expect(sliding3.consume(id)),
  'holdfast, 3 gcra limits': (id) => expect(gcra3.consume(id)),
  'holdfast, 1 sliding limit': (id) => expect(sliding1.consume(id)),
  'holdfast, 1 gcra limit': (id) => expect(gcra1.consume(id)),
  'rate-limiter-flexible, ioredis, 1 limit': (id) => flexibleIo.consume(id),
  'rate-limiter-flexible, node-redis, 1 limit': (id) => flexibleNode.consume(id),
  'rate-limit-redis, ioredis, 1 limit': (id) => express.increment(id),
  '@upstash/ratelimit scripts, ioredis, 1 sliding limit': (id) => expectSuccess(upstashSliding.limit(id)),
  '@upstash/ratelimit scripts, ioredis, 1 fixed limit': (id) => expectSuccess(upstashFixed.limit(id)),
  '@fastify/rate-limit, ioredis, 1 limit': (id) =>
    new Promise((resolve, reject) =>
      fastify.incr(id, (error) => (error ? reject(error) : resolve()), 60_000, HUGE),
    ),
}

async function measure(check, concurrency) {
  const end = performance.now() + seconds * 1_000
  let done = 0
  let next = 0
  const worker = async () => {
    while (performance.now() < end) {
      await check(SUBJECTS[next++ % SUBJECTS.length])
      done++
    }
  }
  const [started, client, there] = [performance.now(), process.cpuUsage(), await serverCpu()]
  await Promise.all(Array.from({ length: concurrency }, worker))
  const rate = (done * 1_000) / (performance.now() - started)
  const { user, system } = process.cpuUsage(client)
  return { rate, client: (user + system) / done, server: ((await serverCpu()) - there) / done }
}

/** µs that the thread of the server has worked so far: on a busy machine truer than what the clock says. */
async function serverCpu() {
  const info = await nodeRedis.info('cpu')
  const of = (name) => Number(new RegExp(`${name}_main_thread:([\\d.]+)`).exec(info)?.[1])
  return (of('used_cpu_user') + of('used_cpu_sys')) * 1e6
}

const results = {}
for (let round = -1; round < rounds; round++) {
  for (const [name, check] of Object.entries(CONTESTANTS)) {
    for (const concurrency of CONCURRENCY) {
      const figures = await measure(check, concurrency)
      if (round < 0) continue // warm-up
      results[name] ??= {}
      results[name][concurrency] ??= []
      results[name][concurrency].push(figures)
    }
  }
}
const cpuOf = (rows, side) => Number(median(rows.map((row) => row[side])).toFixed(1))
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
const table = Object.fromEntries(
  Object.entries(results).map(([name, byLoad]) => [
    name,
    Object.fromEntries(
      Object.entries(byLoad).map(([load, rows]) => [load, Math.round(median(rows.map(({ rate }) => rate)))]),
    ),
  ]),
)
const cpu = Object.fromEntries(
  Object.entries(results).map(([name, byLoad]) => {
    const rows = byLoad[CONCURRENCY.at(-1)]
    return [name, { client: cpuOf(rows, 'client'), server: cpuOf(rows, 'server') }]
  }),
)
const { dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))
const best = Math.max(
  ...Object.entries(table).flatMap(([name, row]) =>
    name.startsWith('holdfast') ? [] : row[CONCURRENCY.at(-1)],
  ),
)
const ratio = table['holdfast, 3 sliding limits'][CONCURRENCY.at(-1)] / best
if (process.argv.includes('--json')) {
  console.log(
    JSON.stringify({
      unit: 'checks per second',
      node: process.version,
      versions: dependencies,
      table,
      cpu,
      ratio,
    }),
  )
} else {
  console.table(table)
  console.table(cpu)
  console.log(
    `at ${CONCURRENCY.at(-1)}: three sliding limits decided ${ratio.toFixed(2)} times as often as the best peer decides one`,
  )
}

ioredis.disconnect()
nodeRedis.destroy()
await redis.close()
await server.stop()
process.exit(0)
