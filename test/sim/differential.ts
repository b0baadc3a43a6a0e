import type { Script } from '../../src/redis/script.ts'
import type { Prng } from './prng.ts'

/** Random commands and script calls: small worlds, so that they meet each other's data. */
const key = (p: Prng) => `k${p.int(12)}`
const word = (p: Prng) => p.pick(['a', 'b', 'c', '', 'ü', 'x y', '10', '-3', '007', '1.5', 'E:1:0'])
const int = (p: Prng) => String(p.int(9) - 3)
const score = (p: Prng) => p.pick(['1', '2', '2.5', '-1', '10', 'inf', '(2', '-inf', '+inf', 'x'])
/** Far from any expiry, so that a slow machine cannot change an answer. */
const life = (p: Prng) => p.pick(['100000', '900000', '5000000', '0', '-1', 'x'])
const seconds = (p: Prng) => p.pick(['100', '900', '0'])
const some = (p: Prng, make: (p: Prng) => string) => Array.from({ length: 1 + p.int(3) }, () => make(p))
const maybe = (p: Prng, ...args: string[]) => (p.chance(0.4) ? args : [])

const MAKERS: ((p: Prng) => string[])[] = [
  (p) => ['GET', key(p)],
  (p) => ['MGET', ...some(p, key)],
  (p) => [
    'SET',
    key(p),
    word(p),
    ...maybe(p, 'PX', life(p)),
    ...maybe(p, p.pick(['NX', 'XX'])),
    ...maybe(p, 'KEEPTTL'),
    ...maybe(p, 'GET'),
  ],
  (p) => ['SET', key(p), int(p), ...maybe(p, p.pick(['EX', 'PXAT', 'BOGUS']), seconds(p))],
  (p) => ['SETNX', key(p), word(p)],
  (p) => ['PSETEX', key(p), life(p), word(p)],
  (p) => ['MSET', key(p), word(p), ...maybe(p, key(p), word(p)), ...(p.chance(0.1) ? [key(p)] : [])],
  (p) => ['APPEND', key(p), word(p)],
  (p) => ['STRLEN', key(p)],
  (p) => [p.pick(['INCR', 'DECR']), key(p)],
  (p) => [p.pick(['INCRBY', 'DECRBY']), key(p), p.pick(['5', '-2', 'x', '1.5'])],
  (p) => ['GETDEL', key(p)],
  (p) => ['GETEX', key(p), ...maybe(p, ...p.pick([['PERSIST'], ['PX', life(p)]]))],
  (p) => [p.pick(['DEL', 'UNLINK']), ...some(p, key)],
  (p) => ['EXISTS', ...some(p, key)],
  (p) => ['TYPE', key(p)],
  (p) => [p.pick(['PTTL', 'TTL', 'PEXPIRETIME']), key(p)],
  (p) => ['PEXPIRE', key(p), life(p), ...maybe(p, p.pick(['NX', 'XX', 'GT', 'LT']))],
  (p) => ['EXPIRE', key(p), seconds(p)],
  (p) => ['PERSIST', key(p)],
  (p) => ['RENAME', key(p), key(p)],
  (p) => ['HSET', key(p), word(p), word(p), ...maybe(p, word(p), word(p)), ...(p.chance(0.1) ? ['odd'] : [])],
  (p) => ['HSETNX', key(p), word(p), word(p)],
  (p) => ['HGET', key(p), word(p)],
  (p) => ['HMGET', key(p), ...some(p, word)],
  (p) => [p.pick(['HGETALL', 'HKEYS', 'HVALS', 'HLEN']), key(p)],
  (p) => [p.pick(['HEXISTS', 'HSTRLEN']), key(p), word(p)],
  (p) => ['HINCRBY', key(p), word(p), int(p)],
  (p) => ['HDEL', key(p), ...some(p, word)],
  (p) => [p.pick(['LPUSH', 'RPUSH']), key(p), ...some(p, word)],
  (p) => [p.pick(['LPOP', 'RPOP']), key(p), ...maybe(p, String(p.int(3)))],
  (p) => ['LRANGE', key(p), int(p), int(p)],
  (p) => ['LTRIM', key(p), int(p), int(p)],
  (p) => ['LREM', key(p), int(p), word(p)],
  (p) => ['LINDEX', key(p), int(p)],
  (p) => ['LLEN', key(p)],
  (p) => ['SADD', key(p), ...some(p, word)],
  (p) => ['SREM', key(p), ...some(p, word)],
  (p) => ['SISMEMBER', key(p), word(p)],
  (p) => [p.pick(['SMEMBERS', 'SCARD']), key(p)],
  (p) => [
    'ZADD',
    key(p),
    ...maybe(p, p.pick(['NX', 'XX', 'CH', 'GT', 'LT'])),
    score(p),
    word(p),
    ...maybe(p, score(p), word(p)),
  ],
  (p) => ['ZINCRBY', key(p), int(p), word(p)],
  (p) => ['ZREM', key(p), ...some(p, word)],
  (p) => [p.pick(['ZSCORE', 'ZRANK']), key(p), word(p)],
  (p) => ['ZCARD', key(p)],
  (p) => ['ZCOUNT', key(p), score(p), score(p)],
  (p) => ['ZRANGE', key(p), int(p), int(p), ...maybe(p, 'REV'), ...maybe(p, 'WITHSCORES')],
  (p) => ['ZRANGE', key(p), score(p), score(p), 'BYSCORE', ...maybe(p, 'LIMIT', '0', '2')],
  (p) => [
    'ZRANGEBYSCORE',
    key(p),
    score(p),
    score(p),
    ...maybe(p, 'WITHSCORES'),
    ...maybe(p, 'LIMIT', '1', '2'),
  ],
  (p) => ['ZREMRANGEBYSCORE', key(p), score(p), score(p)],
  (p) => ['ZREMRANGEBYRANK', key(p), int(p), int(p)],
  (p) => ['ZPOPMIN', key(p)],
  () => ['GET'],
  (p) => ['EVAL', p.pick(LUA), '2', key(p), key(p), word(p), int(p)],
]

/** Corners of the language and of the conversions, beyond what the shipped scripts use. */
const LUA = [
  'return {1, 2.9, "a", false, true, {3, nil, 4}}',
  'return redis.error_reply("MINE no")',
  'return redis.status_reply("FINE")',
  'return {ok = "well"}',
  'return {err = "BAD thing"}',
  'return tostring(1700000000123) .. "|" .. 1e15 .. "|" .. 0.1 .. "|" .. 3 .. "|" .. 2^53 .. "|" .. -0.5',
  'redis.call("SET", KEYS[1], 1700000000123456) return redis.call("GET", KEYS[1])',
  'redis.call("SET", KEYS[1], 0.1) return redis.call("GET", KEYS[1])',
  'local t = {} for w in string.gmatch("a,bb,,c", "[^,]+") do t[#t + 1] = w end return t',
  'local a, b = string.match("key:12:rest", "^(%w+):(%d+)") return {a, b, tonumber(b) + 1}',
  'return {string.find("hello", "l+"), string.gsub("hello", "l", "L"), ("x"):rep(3), #"abc"}',
  'return {string.format("%05d|%s|%.2f|%x|%.0f", 42, "s", 1.005, 255, 1700000000123456), string.byte("A"), string.char(66)}',
  'return {string.sub("hello", 2, -2), string.sub("hello", -3), string.upper("aé"), string.reverse("abc")}',
  'local t = {5, 3, 9} table.sort(t) table.insert(t, 1) table.insert(t, 1, 7) table.remove(t, 2) return {table.concat(t, "-"), #t}',
  'local n = 0 for i = 10, 1, -3 do n = n * 100 + i end return tostring(n)',
  'local i = 0 repeat local j = i i = i + 1 until j >= 3 return i',
  'local r = redis.pcall("INCR", KEYS[1]) if type(r) == "table" and r.err then return "refused " .. string.match(r.err, "^%u+") end return r',
  'redis.call("INCR", KEYS[1]) redis.call("LPUSH", KEYS[1], "x") return 1',
  'redis.call("DEL", KEYS[1]) redis.call("SET", KEYS[1], "after") return 1',
  'local ok, e = pcall(function() error("mine") end) return {tostring(ok), type(e)}',
  'return {type(nil), type(1), type("s"), type({}), type(redis.call), tostring(nil), tostring(true)}',
  'return {math.floor(-1.5), math.ceil(1.2), math.max(1, 9, 3), math.min(4, 2), -7 % 3, math.abs(-2), 7 / 2}',
  'local f = function(...) return select("#", ...), ... end return {f(1, 2, 3)}',
  'return {unpack({1, 2, 3})}',
  'local a <const> = 1 return a',
  'return missing_global',
  'return 1 < "2"',
  'return "10" + 5 .. ""',
  'return {tonumber("0x10"), tonumber("  12  "), tonumber("1e2"), tonumber("z") or "none", tonumber("ff", 16)}',
  'return redis.sha1hex("abc")',
  'return not nil and (1 == 1.0) and ("a" .. 1 == "a1") and 1 or 0',
  'return {redis.call("HSET", KEYS[2], "f", ARGV[2]), redis.call("HGETALL", KEYS[2])}',
]

export const randomCommand = (p: Prng): string[] => p.pick(MAKERS)(p)

/** Scripts read the clock; two servers never show the same, so here both read it from ARGV. */
const FIXED_NOW = [1_800_000_000, 123_456] as const

const POOL: ((p: Prng) => string)[] = [
  (p) => p.pick(['0', '1', '2', '3', '5', '100', '60000', '1800000000123']),
  (p) => p.pick(['EPOCHA', 'EPOCHB', 'inc', 'tok', 't1', 't2', '-', '']),
  (p) => p.pick(['hard', 'soft', 'clear', 'pattern', 'fence', 'lift', 'p', 'r', 'w', 'a']),
]

/** Lives above zero: what a script stores must still be there when both servers are compared. */
const ms = (p: Prng) => p.pick(['60000', '300000', '900000'])
const cacheKey = (p: Prng) => p.pick(['x', 'y', 'z'])
const cacheTag = (p: Prng) => p.pick(['t1', 't2', 't3'])

function tagsOf(p: Prng): string[] {
  return [...new Set(Array.from({ length: p.int(3) }, () => cacheTag(p)))]
}

const entryKeys = (k: string) => [`e:${k}`, `l:${k}`, `f:k:${k}`]
const tagKeys = (tags: readonly string[]) => tags.flatMap((t) => [`t:${t}`, `f:t:${t}`])

/** Keys and arguments that fit the script, so that it gets past its first lines. */
function fitting(p: Prng, name: string): { keys: string[]; argv: string[] } | undefined {
  const inc = p.pick(['inc', 'inc', 'inc', 'other'])
  const fresh = p.pick(['EPOCHA', 'EPOCHB'])
  const deadline = p.pick(['0', '0', '0', '1', '9999999999999'])
  const k = cacheKey(p)
  const tags = tagsOf(p)
  const head = `1 - - ${tags.join(',')}\n`
  const stamp = [p.pick(['EPOCHA', 'EPOCHB']), String(p.int(6))]
  switch (name) {
    case 'cache.lease':
      return {
        keys: ['w', ...entryKeys(k), ...tagKeys(tags)],
        argv: [
          inc,
          fresh,
          deadline,
          ms(p),
          p.pick(['0', '0', '1']),
          '1',
          'tok',
          String(tags.length),
          ...tags,
        ],
      }
    case 'cache.fill':
      return {
        keys: ['w', ...entryKeys(k), ...tagKeys(tags)],
        argv: [
          inc,
          fresh,
          '1',
          'tok',
          ...stamp,
          ms(p),
          p.pick(['0', '60000']),
          head,
          '"body"',
          String(tags.length),
        ],
      }
    case 'cache.invalidate': {
      const mode = p.pick(['hard', 'hard', 'soft', 'clear', 'pattern', 'fence', 'lift'])
      const token = mode === 'fence' || mode === 'lift' ? 'fencer' : ''
      return {
        keys: ['w', 'm', ...entryKeys(k), ...tagKeys(tags)],
        argv: [inc, fresh, 'chan', '{}', '10000', mode, '1', String(tags.length), token, ms(p)],
      }
    }
    case 'cache.set':
      return {
        keys: ['w', 'm', ...entryKeys(k), ...tagKeys(tags)],
        argv: [
          inc,
          fresh,
          deadline,
          'chan',
          '{}',
          '10000',
          p.pick(['', stamp[0]!]),
          stamp[1]!,
          '1',
          ms(p),
          '0',
          head,
          '"b"',
          String(tags.length),
        ],
      }
    case 'cache.heartbeat':
      return { keys: ['w', 'm'], argv: [inc, fresh, p.pick(['p1', 'p2']), '10000'] }
    case 'cache.hold':
      return { keys: [`l:${k}`], argv: [`tok:${stamp.join(':')}`, p.pick(['0', '60000'])] }
    case 'cache.touch':
      return {
        keys: ['w', `e:${k}`, ...tags.map((t) => `t:${t}`)],
        argv: [inc, fresh, deadline, ms(p), '0', 'chan', '{}'],
      }
    default:
      return undefined
  }
}

export function randomScriptCall(p: Prng, script: Script): string[] {
  const lua = script.lua.replaceAll("redis.call('TIME')", `{ '${FIXED_NOW[0]}', '${FIXED_NOW[1]}' }`)
  const { keys, argv } = fitting(p, script.name) ?? {
    keys: Array.from({ length: 1 + p.int(5) }, (_, i) => `${script.name}:${i}`),
    argv: Array.from({ length: 4 + p.int(10) }, () => p.pick(POOL)(p)),
  }
  return ['EVAL', lua, String(keys.length), ...keys, ...argv]
}
