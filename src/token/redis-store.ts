import type { Clock } from '../base/clock.ts'
import { encodePart } from '../base/key.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { Locks } from '../lock/locks.ts'
import type { Arg, Reply } from '../redis/link.ts'
import { scanNodes } from '../redis/name-scan.ts'
import type { RedisPort } from '../redis/port.ts'
import { defineScript, LUA_NOW } from '../redis/script.ts'
import { served } from '../redis/served.ts'
import { runAlone } from './alone.ts'
import type { DropReply, TokenLease, TokenState, TokenStore, TokenWrite } from './store.ts'

/**
 * One hash per credential: b sealed token, v its version, i obtained, x usable until, g sealed
 * grant, gx until, d refusal, dx until, p failures, px pause until, n last drop, f fence. All times
 * in server ms, all lives decided by the server's clock. The key lives as long as the last of them.
 */
const LIFE = `
local function int(value) return string.format('%.0f', value) end
local function settle()
  local last = now + 1000
  for _, at in ipairs(redis.call('HMGET', KEYS[1], 'x', 'gx', 'dx', 'px', 'nx')) do
    if at and tonumber(at) > last then last = tonumber(at) end
  end
  redis.call('PEXPIREAT', KEYS[1], int(last))
end
`

const READ = defineScript(
  'token-read',
  `${LUA_NOW}
return { string.format('%.0f', now), redis.call('HGETALL', KEYS[1]) }
`,
)

/**
 * ARGV: fence, count of removals, removals, then triples: name, 't' (ms from now) or 's' (text), value.
 * No deadline: a late write with the newest fence is still right, and losing a rotated refresh
 * token would be worse.
 */
const WRITE = defineScript(
  'token-write',
  `${LUA_NOW}${LIFE}
local fence = redis.call('HGET', KEYS[1], 'f')
if fence and tonumber(fence) > tonumber(ARGV[1]) then return 0 end
local at = 3 + tonumber(ARGV[2])
for i = 3, at - 1 do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[1], 'f', ARGV[1])
for i = at, #ARGV, 3 do
  local value = ARGV[i + 2]
  if ARGV[i + 1] == 't' then value = int(now + tonumber(value)) end
  redis.call('HSET', KEYS[1], ARGV[i], value)
end
settle()
return 1
`,
)

/** ARGV: version, least ms between drops. */
const DROP = defineScript(
  'token-drop',
  `${LUA_NOW}${LIFE}
local m = redis.call('HMGET', KEYS[1], 'v', 'nx')
if m[1] ~= ARGV[1] then return 'other' end
if m[2] and tonumber(m[2]) > now then return 'too-soon' end
redis.call('HDEL', KEYS[1], 'b', 'v', 'i', 'x')
redis.call('HSET', KEYS[1], 'nx', int(now + tonumber(ARGV[2])))
settle()
return 'dropped'
`,
)

/** For one step of a scan. */
const SCAN_MS = 2_000

export class RedisTokenStore implements TokenStore {
  readonly shared = true
  readonly clock: Clock
  readonly random: Random
  readonly #redis: RedisPort
  readonly #locks: Locks
  readonly #deadlineMs: number
  readonly #prefix: string

  constructor(redis: RedisPort, namespace: string, deadlineMs: number) {
    this.#redis = redis
    this.clock = redis.clock
    this.random = redis.random
    this.#locks = new Locks({ redis, namespace })
    this.#deadlineMs = deadlineMs
    this.#prefix = `hf:${encodePart(namespace, 'namespace')}:token:`
  }

  async read(key: string): Promise<TokenState> {
    const reply = await this.#eval(READ, key, [])
    const [time, flat] = reply as [string, string[]]
    const now = Number(time)
    const h = new Map<string, string>()
    for (let i = 0; i < flat.length; i += 2) h.set(flat[i]!, flat[i + 1]!)
    const left = (name: string) => Number(h.get(name) ?? 0) - now
    const body = h.get('b')
    const version = h.get('v')
    return {
      token:
        body !== undefined && version !== undefined && left('x') > 0
          ? { body, version, leftMs: left('x'), ageMs: -left('i') }
          : undefined,
      grant: left('gx') > 0 ? h.get('g') : undefined,
      dead: left('dx') > 0 ? h.get('d') : undefined,
      deadLeftMs: Math.max(0, left('dx')),
      pause: left('px') > 0 ? { leftMs: left('px'), failures: Number(h.get('p') ?? 1) } : undefined,
    }
  }

  async write(key: string, fence: number, write: TokenWrite): Promise<boolean> {
    const { remove, set } = plan(write)
    const args: Arg[] = [String(fence), String(remove.length), ...remove, ...set.flat()]
    return (await this.#eval(WRITE, key, args)) === 1
  }

  async drop(key: string, version: string, everyMs: number): Promise<DropReply> {
    return (await this.#eval(DROP, key, [version, String(everyMs)])) as DropReply
  }

  async forget(key: string): Promise<void> {
    await served(this.#redis, key, this.#deadlineMs, (node, deadline) =>
      node.send(['UNLINK', key], { deadline }),
    )
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    const match = `${this.#prefix}{${glob}}`
    return scanNodes(this.#redis.nodes(), match, SCAN_MS, (key) => key, from)
  }

  alone<T>(key: string, waitMs: number, run: (lease: TokenLease) => Promise<T>): Promise<T | undefined> {
    return runAlone(this.#locks, key, waitMs, run)
  }

  async close(): Promise<void> {
    this.#locks.close()
  }

  #eval(script: typeof WRITE, key: string, args: readonly Arg[]): Promise<Reply> {
    return served(this.#redis, key, this.#deadlineMs, (node, deadline) =>
      node.eval(script, [key], args, { deadline }),
    )
  }
}

type Setting = [name: string, kind: 't' | 's', value: string]

function plan(write: TokenWrite): { remove: string[]; set: Setting[] } {
  const ms = (value: number) => String(Math.round(value))
  switch (write.kind) {
    case 'token': {
      const set: Setting[] = [
        ['b', 's', write.body],
        ['v', 's', write.version],
        ['x', 't', ms(write.usableMs)],
        ['i', 't', ms(-write.ageMs)],
      ]
      if (write.grant !== undefined) set.push(['g', 's', write.grant])
      if (write.grantMs > 0) set.push(['gx', 't', ms(write.grantMs)])
      return { remove: ['d', 'dx', 'p', 'px'], set }
    }
    case 'grant':
      return {
        remove: ['b', 'v', 'i', 'x', 'd', 'dx', 'p', 'px'],
        set: [
          ['g', 's', write.grant],
          ['gx', 't', ms(write.grantMs)],
        ],
      }
    case 'dead':
      return {
        remove: ['g', 'gx', 'p', 'px'],
        set: [
          ['d', 's', write.error],
          ['dx', 't', ms(write.forMs)],
        ],
      }
    case 'pause':
      return {
        remove: [],
        set: [
          ['p', 's', String(write.failures)],
          ['px', 't', ms(write.forMs)],
        ],
      }
  }
}
