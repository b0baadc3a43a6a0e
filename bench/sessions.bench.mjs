/**
 * Requests per second with a session: the store for express-session of Holdfast beside connect-redis.
 *
 *   npm ci --prefix bench && npx tsx bench/sessions.bench.mjs [--json] [--seconds 1] [--rounds 5]
 *
 * A request is what express-session does to its store: `get`, then `touch` when nothing changed, or
 * `set` when one of ten fields did. Both stores go through a session object as in express. Starts
 * its own redis-server on a free loopback port. Rounds are interleaved and the median is shown.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { createClient } from 'redis'
import { connectRedis } from '../src/redis/connect.ts'
import { expressStore } from '../src/session/express-store.ts'
import { createSessions } from '../src/session/sessions.ts'
import { startRedis } from '../test/support/redis-server.ts'

const require = createRequire(import.meta.url)
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const seconds = option('seconds', 1)
const rounds = option('rounds', 5)
const CONCURRENCY = [1, 32]
const IDS = Array.from({ length: 1_000 }, (_, index) => `bench-session-id-${String(index).padStart(8, '0')}`)

const server = await startRedis()
const nodeRedis = await createClient({ url: server.url }).connect()
const port = connectRedis(server.url)
await port.ready(5_000)
const sessions = createSessions({ redis: port, namespace: 'bench', deadline: '10s' })

const stores = {
  holdfast: expressStore(session, sessions),
  'connect-redis': new RedisStore({ client: nodeRedis, prefix: 'peer:' }),
}
const call = (store, method, ...args) =>
  new Promise((resolve, reject) =>
    store[method](...args, (error, value) => (error ? reject(error) : resolve(value))),
  )

for (const store of Object.values(stores)) {
  // What the middleware does at start.
  store.generate = (request) => {
    request.session = new session.Session(request)
    request.session.cookie = new session.Cookie({})
  }
  for (const id of IDS) {
    const request = { sessionID: id, sessionStore: store }
    store.generate(request)
    for (let field = 0; field < 10; field++) request.session[`field${field}`] = 'x'.repeat(100)
    await call(store, 'set', id, request.session)
  }
}

let count = 0
async function request(store, changes) {
  const id = IDS[count++ % IDS.length]
  const data = await call(store, 'get', id)
  const current = store.createSession({ sessionID: id, sessionStore: store }, data)
  if (!changes) return call(store, 'touch', id, current)
  current[`field${count % 10}`] = String(count)
  return call(store, 'set', id, current)
}

async function measure(store, changes, concurrency) {
  const end = performance.now() + seconds * 1_000
  const started = performance.now()
  let done = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (performance.now() < end) {
        await request(store, changes)
        done++
      }
    }),
  )
  return (done / (performance.now() - started)) * 1_000
}

async function costs(store, changes) {
  const before = await info()
  for (let i = 0; i < 500; i++) await request(store, changes)
  const after = await info()
  return {
    commands: (after.commands - before.commands) / 500,
    bytesIn: Math.round((after.bytesIn - before.bytesIn) / 500),
  }
}

async function info() {
  const text = await nodeRedis.info()
  const read = (name) => Number(new RegExp(`${name}:(\\d+)`).exec(text)?.[1])
  // Calls made by clients, not by scripts: every client command is counted once by its own name.
  let scripted = 0
  for (const [, name, calls] of (await nodeRedis.info('commandstats')).matchAll(
    /cmdstat_([\w|]+):calls=(\d+)/g,
  )) {
    if (['get', 'set', 'expire', 'eval', 'evalsha'].includes(name)) scripted += Number(calls)
  }
  return { commands: scripted, bytesIn: read('total_net_input_bytes') }
}

const results = []
for (const changes of [false, true]) {
  for (const concurrency of CONCURRENCY) {
    const samples = Object.fromEntries(Object.keys(stores).map((name) => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [name, store] of Object.entries(stores)) {
        samples[name].push(await measure(store, changes, concurrency))
      }
    }
    for (const [name, store] of Object.entries(stores)) {
      const sorted = samples[name].sort((a, b) => a - b)
      results.push({
        request: changes ? 'one field changed' : 'nothing changed',
        concurrency,
        store: name,
        perSecond: Math.round(sorted[Math.floor(sorted.length / 2)]),
        ...(await costs(store, changes)),
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
await port.close()
nodeRedis.destroy()
await server.stop()
