import type { Clock } from '../base/clock.ts'
import { encodePart } from '../base/key.ts'
import { parseAddress } from '../redis/address.ts'
import { parseInfo } from '../redis/identity.ts'
import type { RedisNode, RedisPort } from '../redis/port.ts'
import { ask, pairs, refusal } from './ask.ts'
import { echoOf } from './echo.ts'
import type { Door, Info, Reach, Role, ServerEvidence, SlowEntry } from './evidence.ts'
import { reachOf } from './reach.ts'
import type { Source } from './source.ts'
import { recogniseVendor } from './vendor.ts'

const PINGS = 20
const BURST = 100
/** No more pings when those before took so long together. */
const PING_BUDGET_MS = 3_000
const SLOW_ENTRIES = '128'

/** Asks one server everything that the checks want to know. Writes nothing. */
export async function examineServer(
  node: RedisNode,
  port: RedisPort,
  roles: readonly Role[],
  source: Source | undefined,
  namespace: string,
): Promise<ServerEvidence> {
  const { clock } = port
  const host = parseAddress(node.address)?.host ?? node.address
  const pings = await pingTimes(node, clock)
  const info = await infoOf(node)
  const [waits, reach, skewMs, slow, needs, config, door, echo] = await Promise.all([
    burstTimes(node, clock),
    reachOf(host, clock),
    skewOf(node, clock),
    slowLog(node),
    commandNeeds(node, namespace, roles),
    configOf(node),
    doorOf(node, source),
    echoOf(node, namespace, port),
  ])
  const vendor = recogniseVendor(host, info, config !== undefined || reach === 'loopback')
  return {
    address: node.address,
    roles,
    topology: port.topology,
    vendor,
    reach,
    tls: tlsOf(node, info, source, reach),
    door,
    db: source?.access.db,
    info,
    pings,
    burst: waits,
    skewMs,
    slow,
    ...needs,
    config: vendor?.managed ? undefined : config,
    echo,
  }
}

async function infoOf(node: RedisNode): Promise<Info> {
  const all = (await ask(node, 'INFO', 'all')) ?? (await ask(node, 'INFO'))
  return all === undefined ? {} : Object.fromEntries(parseInfo(all))
}

async function pingTimes(node: RedisNode, clock: Clock): Promise<number[]> {
  const times: number[] = []
  const began = clock.mono()
  for (let i = 0; i < PINGS && clock.mono() - began < PING_BUDGET_MS; i++) {
    const sent = clock.mono()
    if ((await ask(node, 'PING')) === 'PONG') times.push(clock.mono() - sent)
  }
  return times
}

/** The best of three bursts: a pause of our own process in one of them says nothing. */
async function burstTimes(node: RedisNode, clock: Clock): Promise<readonly number[]> {
  let best: readonly number[] = []
  for (let i = 0; i < 3; i++) {
    const times = await burst(node, clock)
    if (times.length === 0) return []
    if (best.length === 0 || Math.max(...times) < Math.max(...best)) best = times
  }
  return best
}

async function burst(node: RedisNode, clock: Clock): Promise<number[]> {
  const sent = clock.mono()
  const times = await Promise.all(
    Array.from({ length: BURST }, async () => {
      const answer = await ask(node, 'PING')
      return answer === undefined ? [] : [clock.mono() - sent]
    }),
  )
  return times.flat()
}

/** The best of three: the one that waited least says most. */
async function skewOf(node: RedisNode, clock: Clock): Promise<number | undefined> {
  let best: { readonly trip: number; readonly skew: number } | undefined
  for (let i = 0; i < 3; i++) {
    const from = clock.wall()
    const began = clock.mono()
    const reply = await ask(node, 'TIME')
    const trip = clock.mono() - began
    const [seconds, micros] = Array.isArray(reply) ? reply : []
    const server = Number(seconds) * 1_000 + Number(micros) / 1_000
    if (!Number.isFinite(server)) return undefined
    if (best === undefined || trip < best.trip) best = { trip, skew: server - (from + trip / 2) }
  }
  return best?.skew
}

async function slowLog(node: RedisNode): Promise<readonly SlowEntry[] | undefined> {
  const reply = await ask(node, 'SLOWLOG', 'GET', SLOW_ENTRIES)
  if (!Array.isArray(reply)) return undefined
  return reply.flatMap((entry) => {
    const [, at, microseconds, args] = Array.isArray(entry) ? entry : []
    const command = Array.isArray(args) ? String(args[0]).toUpperCase() : 'UNKNOWN'
    return [{ at: Number(at), microseconds: Number(microseconds), command }]
  })
}

async function configOf(node: RedisNode): Promise<{ bind?: string; save?: string } | undefined> {
  const [bind, save] = await Promise.all([
    ask(node, 'CONFIG', 'GET', 'bind'),
    ask(node, 'CONFIG', 'GET', 'save'),
  ])
  if (bind === undefined && save === undefined) return undefined
  const found = new Map([...pairs(bind), ...pairs(save)])
  const text = (name: string) => (found.has(name) ? { [name]: String(found.get(name)) } : {})
  return { ...text('bind'), ...text('save') }
}

/** A named user, or a default user that needs a password. ACL may be denied, which says as much. */
async function doorOf(node: RedisNode, source: Source | undefined): Promise<Door | undefined> {
  const user = await ask(node, 'ACL', 'WHOAMI')
  if (typeof user === 'string' && user !== 'default') return 'user'
  const flags = pairs(await ask(node, 'ACL', 'GETUSER', 'default')).get('flags')
  if (Array.isArray(flags)) return flags.includes('nopass') ? 'anybody' : 'password'
  if (source === undefined) return undefined
  return source.access.password === undefined ? 'anybody' : 'password'
}

function tlsOf(node: RedisNode, info: Info, source: Source | undefined, reach: Reach): boolean | undefined {
  if (source) return source.access.tls !== undefined
  if (info.tcp_port === '0' && reach !== 'loopback') return true
  return Number(info.tcp_port) === parseAddress(node.address)?.port ? false : undefined
}

/**
 * Each needed command once, on a key that nobody has and in a form that changes nothing: a server
 * that denies it says so, and one that refuses all writes says why.
 */
async function commandNeeds(node: RedisNode, namespace: string, roles: readonly Role[]) {
  const space = encodePart(namespace, 'namespace')
  const key = roles.includes('data') ? `hf:${space}:raw:{doctor-none}` : `hf:{${space}:0}:e:doctor-none`
  const trials: readonly (readonly string[])[] = [
    ['GET', key],
    ['MGET', key],
    ['SET', key, '', 'XX'],
    ['DEL', key],
    ['UNLINK', key],
    ['EXISTS', key],
    ['PTTL', key],
    ['PEXPIRE', key, '1'],
    ['TYPE', key],
    ['HGET', key, 'f'],
    ['HGETALL', key],
    ['HDEL', key, 'f'],
    ['ZADD', key, 'XX', '1', 'm'],
    ['ZRANGE', key, '0', '-1'],
    ['ZREM', key, 'm'],
    ['LLEN', key],
    ['XADD', key, 'NOMKSTREAM', '*', 'f', 'v'],
    ['SCAN', '0', 'COUNT', '1'],
    ['PUBLISH', `hf:${space}:doctor`, ''],
    ['EVAL', 'return 1', '1', key],
    ['EVALSHA', '0'.repeat(40), '1', key],
  ]
  const denied: Record<string, string> = {}
  let refusesWrites: string | undefined
  await Promise.all(
    trials.map(async (trial) => {
      const answer = await refusal(node, trial)
      if (answer === undefined) return
      const word = /\b(?:MISCONF|OOM|READONLY|NOREPLICAS)\b/.exec(answer.message)?.[0]
      if (word) refusesWrites = word
      else if (answer.prefix === 'NOPERM' || /unknown command/i.test(answer.message)) {
        denied[trial[0]!] = answer.message
      }
    }),
  )
  return { denied, refusesWrites }
}
