/**
 * Requests per second with a session: the store for express-session of Holdfast beside connect-redis.
 *
 *   npm ci --prefix bench && npx tsx bench/sessions.bench.mjs [--json] [--seconds 1] [--rounds 5]
 *
 * A request goes through the real middleware of express-session, with the same options, the same
 * signed cookie and the same data for both stores; only the sockets of HTTP are left out, for they
 * would cost both the same. It loads the session and either changes nothing, so that the middleware
 * touches, or changes one of ten fields, so that it saves. The stores take turns within each round,
 * the second goes first in the next, and the median is shown, also of the processor time that a request
 * takes here and in the server: on a machine that is busy with other things it says more than the
 * rate. Then MONITOR says what reached Redis.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { createClient } from 'redis'
import { connectRedis } from '../src/redis/connect.ts'
import { expressStore } from '../src/session/express-store.ts'
import { createSessions } from '../src/session/sessions.ts'
import { countCommands } from '../test/support/monitor.ts'
import { startRedis } from '../test/support/redis-server.ts'

const require = createRequire(import.meta.url)
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const seconds = option('seconds', 1)
const rounds = option('rounds', 5)
const CONCURRENCY = [1, 32]
const VISITORS = 1_000
const FIELDS = 10
const OBSERVED = 100
const WRITES = new Set(['SET', 'EXPIRE', 'PEXPIRE', 'PEXPIREAT', 'HSET', 'HDEL', 'HINCRBY', 'DEL', 'UNLINK'])

const server = await startRedis()
const nodeRedis = await createClient({ url: server.url }).connect()
nodeRedis.on('error', () => {})
const port = connectRedis(server.url)
await port.ready(5_000)
const sessions = createSessions({ redis: port, namespace: 'bench', deadline: '10s' })

const through = (store) =>
  session({
    store,
    secret: 'the same secret for both of them',
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 3_600_000 },
  })
const contestants = Object.entries({
  holdfast: through(expressStore(session, sessions)),
  'connect-redis': through(new RedisStore({ client: nodeRedis, prefix: 'peer:' })),
})

/** What the middleware uses of a response. */
class Answer {
  _header = null
  cookie
  #done
  constructor(done) {
    this.#done = done
  }
  getHeader() {}
  setHeader(name, value) {
    if (name.toLowerCase() === 'set-cookie') this.cookie = String(value)
  }
  _implicitHeader() {
    this.writeHead(200)
  }
  writeHead() {
    this._header = 'sent'
  }
  write() {
    return true
  }
  end() {
    this.#done(this)
  }
}

const request = (middleware, cookie, work) =>
  new Promise((resolve, reject) => {
    const req = { headers: { cookie }, url: '/', originalUrl: '/', method: 'GET', socket: {}, connection: {} }
    const res = new Answer(resolve)
    middleware(req, res, (error) => {
      if (error) return reject(error)
      work(req.session)
      res.end()
    })
  })

const jars = new Map()
for (const [name, middleware] of contestants) {
  const jar = []
  for (let visitor = 0; visitor < VISITORS; visitor++) {
    const { cookie } = await request(middleware, '', (data) => {
      for (let field = 0; field < FIELDS; field++) data[`field${field}`] = 'x'.repeat(100)
    })
    jar.push(cookie.slice(0, cookie.indexOf(';')))
  }
  jars.set(name, jar)
}

let count = 0
function visit(name, middleware, changes) {
  const n = count++
  return request(middleware, jars.get(name)[n % VISITORS], (data) => {
    if (data.field0 === undefined) throw new Error(`${name} lost a session`)
    if (changes) data[`field${n % FIELDS}`] = String(n).padEnd(100, 'y')
  })
}

async function measure(name, middleware, changes, concurrency) {
  const serverBefore = await serverCpu()
  const before = process.cpuUsage()
  const started = performance.now()
  const end = started + seconds * 1_000
  let done = 0
  const lane = async () => {
    while (performance.now() < end) {
      await visit(name, middleware, changes)
      done++
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  const took = performance.now() - started
  const { user, system } = process.cpuUsage(before)
  return {
    rate: (done / took) * 1_000,
    client: (user + system) / done,
    server: ((await serverCpu()) - serverBefore) / done,
  }
}

/** µs since its start. */
async function serverCpu() {
  const text = await nodeRedis.info('cpu')
  const read = (name) => Number(new RegExp(`${name}:([\\d.]+)`).exec(text)?.[1]) * 1e6
  return read('used_cpu_user') + read('used_cpu_sys')
}

/** What one request sends, and what of it writes, inside scripts or out. */
async function costs(name, middleware, changes) {
  const before = await bytesIn()
  for (let i = 0; i < OBSERVED; i++) await visit(name, middleware, changes)
  const bytes = Math.round(((await bytesIn()) - before) / OBSERVED)
  const seen = await countCommands(server, async () => {
    for (let i = 0; i < OBSERVED; i++) await visit(name, middleware, changes)
  })
  const calls = [...Object.entries(seen.byName), ...Object.entries(seen.inScripts)]
  const writes = calls.reduce((sum, [command, times]) => sum + (WRITES.has(command) ? times : 0), 0)
  return { commands: seen.requests / OBSERVED, writes: writes / OBSERVED, bytesIn: bytes }
}

const bytesIn = async () => Number(/total_net_input_bytes:(\d+)/.exec(await nodeRedis.info('stats'))?.[1])

const results = []
for (const changes of [false, true]) {
  for (const concurrency of CONCURRENCY) {
    const samples = new Map(contestants.map(([name]) => [name, []]))
    // The first round warms up, and is thrown away.
    for (let round = 0; round <= rounds; round++) {
      for (const [name, middleware] of round % 2 ? contestants.toReversed() : contestants) {
        const sample = await measure(name, middleware, changes, concurrency)
        if (round > 0) samples.get(name).push(sample)
      }
    }
    for (const [name, middleware] of contestants) {
      const median = (what) => {
        const sorted = samples
          .get(name)
          .map((sample) => sample[what])
          .sort((a, b) => a - b)
        return Math.round(sorted[Math.floor(sorted.length / 2)])
      }
      results.push({
        request: changes ? 'one field changed' : 'nothing changed',
        concurrency,
        store: name,
        perSecond: median('rate'),
        clientMicros: median('client'),
        serverMicros: median('server'),
        ...(await costs(name, middleware, changes)),
      })
    }
  }
}

const version = (name) =>
  JSON.parse(readFileSync(require.resolve(name).replace(/(.*node_modules\/[^/]+)\/.*/, '$1/package.json')))
    .version
const versions = {
  node: process.version,
  redis: version('redis'),
  'connect-redis': version('connect-redis'),
  'express-session': version('express-session'),
}
if (process.argv.includes('--json')) console.log(JSON.stringify({ versions, results }, null, 2))
else {
  console.log(versions)
  console.table(results)
}
nodeRedis.destroy()
await port.close()
await server.stop()
