import { matchesGlob } from './glob.ts'
import type { Keyspace, Value } from './keyspace.ts'
import { formatG } from './lua-value.ts'
import { OK, ServerError, type ServerReply, Status } from './reply.ts'

/** The data commands that Holdfast's code and scripts send, with the flags that matter at maxmemory. */
export interface Command {
  /** As COMMAND INFO gives it: counts the name; negative = at least. */
  readonly arity: number
  readonly write: boolean
  readonly denyOom: boolean
  run(keys: Keyspace, args: readonly string[], now: number): ServerReply
}

const wrongType = () => new ServerError('WRONGTYPE Operation against a key holding the wrong kind of value')
const syntax = () => new ServerError('ERR syntax error')
const notInteger = () => new ServerError('ERR value is not an integer or out of range')
const notFloat = () => new ServerError('ERR value is not a valid float')

type Kind = Value['kind']
type Of<K extends Kind> = Extract<Value, { kind: K }>

function typed<K extends Kind>(keys: Keyspace, key: string, kind: K): Of<K> | undefined {
  const value = keys.get(key)
  if (value && value.kind !== kind) throw wrongType()
  return value as Of<K> | undefined
}

/** Runs `change` on a container, made where absent and removed where left empty; keeps the expiry. */
function change<T>(
  keys: Keyspace,
  key: string,
  found: Value | undefined,
  fresh: () => Value,
  run: (value: Value) => T,
): T {
  const value = found ?? fresh()
  const result = run(value)
  if (sizeOf(value) === 0) keys.delete(key)
  else if (!found) keys.set(key, value)
  return result
}

function sizeOf(value: Value): number {
  switch (value.kind) {
    case 'hash':
      return value.fields.size
    case 'list':
      return value.items.length
    case 'set':
      return value.members.size
    case 'zset':
      return value.scores.size
    default:
      return 1
  }
}

const hash = (keys: Keyspace, key: string) => typed(keys, key, 'hash')?.fields
const text = (keys: Keyspace, key: string) => typed(keys, key, 'string')?.text

function onHash<T>(keys: Keyspace, key: string, run: (fields: Map<string, string>) => T): T {
  return change(
    keys,
    key,
    typed(keys, key, 'hash'),
    () => ({ kind: 'hash', fields: new Map() }),
    (value) => run((value as Of<'hash'>).fields),
  )
}
function onList<T>(keys: Keyspace, key: string, run: (items: string[]) => T): T {
  return change(
    keys,
    key,
    typed(keys, key, 'list'),
    () => ({ kind: 'list', items: [] }),
    (value) => run((value as Of<'list'>).items),
  )
}
function onSet<T>(keys: Keyspace, key: string, run: (members: Set<string>) => T): T {
  return change(
    keys,
    key,
    typed(keys, key, 'set'),
    () => ({ kind: 'set', members: new Set() }),
    (value) => run((value as Of<'set'>).members),
  )
}
function onZset<T>(keys: Keyspace, key: string, run: (scores: Map<string, number>) => T): T {
  return change(
    keys,
    key,
    typed(keys, key, 'zset'),
    () => ({ kind: 'zset', scores: new Map() }),
    (value) => run((value as Of<'zset'>).scores),
  )
}

function integer(value: string | undefined): number {
  if (value === undefined || !/^(0|-?[1-9]\d{0,18})$/.test(value)) throw notInteger()
  return Number(value)
}

function float(value: string): number {
  if (/^[+-]?inf(inity)?$/i.test(value)) return value[0] === '-' ? -Infinity : Infinity
  if (value === '' || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) throw notFloat()
  return Number(value)
}

const scoreText = (score: number): string =>
  Number.isInteger(score) && Math.abs(score) < 1e17 ? String(score) : formatG(score, 17, false)

/** Where the expiry options of SET, GETEX and the like point to. */
function expiryOf(option: string, value: string | undefined, now: number, command: string): number {
  if (value === undefined) throw syntax()
  const amount = integer(value)
  if (amount <= 0) throw new ServerError(`ERR invalid expire time in '${command}' command`)
  const ms = option.startsWith('EX') ? amount * 1_000 : amount
  return option.endsWith('AT') ? ms : now + ms
}

function set(keys: Keyspace, args: readonly string[], now: number): ServerReply {
  const [, key, value] = args as [string, string, string]
  let [expireAt, condition, keep, get]: [number | undefined, string | undefined, boolean, boolean] = [
    undefined,
    undefined,
    false,
    false,
  ]
  let expiry = 0
  for (let i = 3; i < args.length; i++) {
    const option = args[i]!.toUpperCase()
    if (option === 'NX' || option === 'XX') {
      if (condition && condition !== option) throw syntax()
      condition = option
    } else if (option === 'KEEPTTL') keep = true
    else if (option === 'GET') get = true
    else if (/^(EX|PX|EXAT|PXAT)$/.test(option)) {
      if (expiry++) throw syntax()
      if (args[i + 1] === undefined) throw syntax()
      expireAt = expiryOf(option, args[++i], now, 'set')
    } else throw syntax()
  }
  if (keep && expiry) throw syntax()
  const old = get ? (text(keys, key) ?? null) : null
  const there = keys.get(key) !== undefined
  if ((condition === 'NX' && there) || (condition === 'XX' && !there)) return old
  keys.set(key, { kind: 'string', text: value }, keep ? (keys.expireAt(key) ?? undefined) : expireAt)
  if (expireAt !== undefined) keys.setExpireAt(key, expireAt)
  return get ? old : OK
}

function setText(keys: Keyspace, key: string, value: string): void {
  keys.set(key, { kind: 'string', text: value }, keys.expireAt(key) ?? undefined)
}

function incrementBy(keys: Keyspace, key: string, by: number): number {
  const next = integer(text(keys, key) ?? '0') + by
  setText(keys, key, String(next))
  return next
}

function expire(keys: Keyspace, args: readonly string[], at: number): number {
  const key = args[1]!
  const current = keys.expireAt(key)
  if (current === undefined) return 0
  for (const flag of args.slice(3).map((option) => option.toUpperCase())) {
    if (flag === 'NX' && current !== null) return 0
    if (flag === 'XX' && current === null) return 0
    if (flag === 'GT' && (current === null || at <= current)) return 0
    if (flag === 'LT' && current !== null && at >= current) return 0
    if (!/^(NX|XX|GT|LT)$/.test(flag)) throw new ServerError(`ERR Unsupported option ${flag}`)
  }
  keys.setExpireAt(key, at)
  return 1
}

function ttl(keys: Keyspace, key: string, now: number, unit: number): number {
  const at = keys.expireAt(key)
  if (at === undefined) return -2
  return at === null ? -1 : Math.floor((at - now + (unit > 1 ? unit / 2 : 0)) / unit)
}

const sorted = (scores: ReadonlyMap<string, number>): [string, number][] =>
  [...scores].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : a > b ? 1 : 0))

function range<T>(items: readonly T[], from: number, to: number): T[] {
  const start = from < 0 ? Math.max(0, items.length + from) : from
  const end = to < 0 ? items.length + to : Math.min(to, items.length - 1)
  return start > end ? [] : items.slice(start, end + 1)
}

function bound(value: string): { at: number; open: boolean } {
  const open = value.startsWith('(')
  try {
    return { at: float(open ? value.slice(1) : value), open }
  } catch {
    throw new ServerError('ERR min or max is not a float')
  }
}

function byScore(
  scores: ReadonlyMap<string, number> | undefined,
  min: string,
  max: string,
): [string, number][] {
  const [low, high] = [bound(min), bound(max)]
  return sorted(scores ?? new Map()).filter(
    ([, s]) => (low.open ? s > low.at : s >= low.at) && (high.open ? s < high.at : s <= high.at),
  )
}

const pairs = (entries: readonly [string, number][], withScores: boolean): string[] =>
  withScores
    ? entries.flatMap(([member, score]) => [member, scoreText(score)])
    : entries.map(([member]) => member)

function zadd(keys: Keyspace, args: readonly string[]): ServerReply {
  const flags = new Set<string>()
  let at = 2
  while (/^(NX|XX|GT|LT|CH|INCR)$/i.test(args[at] ?? '')) flags.add(args[at++]!.toUpperCase())
  const rest = args.slice(at)
  if (rest.length === 0 || rest.length % 2) throw syntax()
  const scores = rest.filter((_, i) => i % 2 === 0).map(float)
  return onZset(keys, args[1]!, (zset) => {
    let [added, changed] = [0, 0]
    for (const [i, given] of scores.entries()) {
      const member = rest[i * 2 + 1]!
      const old = zset.get(member)
      if (old === undefined ? flags.has('XX') : flags.has('NX')) {
        if (flags.has('INCR')) return null
        continue
      }
      const score = flags.has('INCR') ? (old ?? 0) + given : given
      if (old !== undefined && ((flags.has('GT') && score <= old) || (flags.has('LT') && score >= old))) {
        if (flags.has('INCR')) return null
        continue
      }
      zset.set(member, score)
      if (old === undefined) added++
      else if (old !== score) changed++
      if (flags.has('INCR')) return scoreText(score)
    }
    return flags.has('CH') ? added + changed : added
  })
}

function zrange(keys: Keyspace, args: readonly string[]): ServerReply {
  const options = args.slice(4).map((option) => option.toUpperCase())
  const scores = typed(keys, args[1]!, 'zset')?.scores
  const reverse = options.includes('REV')
  const withScores = options.includes('WITHSCORES')
  const limit = options.indexOf('LIMIT')
  let entries: [string, number][]
  if (options.includes('BYSCORE')) {
    entries = reverse ? byScore(scores, args[3]!, args[2]!).reverse() : byScore(scores, args[2]!, args[3]!)
    if (limit >= 0) entries = limited(entries, integer(options[limit + 1]), integer(options[limit + 2]))
  } else {
    const all = sorted(scores ?? new Map())
    entries = range(reverse ? all.reverse() : all, integer(args[2]), integer(args[3]))
  }
  return pairs(entries, withScores)
}

const limited = <T>(items: readonly T[], offset: number, count: number): T[] =>
  items.slice(offset, count < 0 ? undefined : offset + count)

function zrangeByScore(keys: Keyspace, args: readonly string[], reverse: boolean): ServerReply {
  const options = args.slice(4).map((option) => option.toUpperCase())
  const scores = typed(keys, args[1]!, 'zset')?.scores
  let entries = reverse ? byScore(scores, args[3]!, args[2]!).reverse() : byScore(scores, args[2]!, args[3]!)
  const limit = options.indexOf('LIMIT')
  if (limit >= 0) entries = limited(entries, integer(options[limit + 1]), integer(options[limit + 2]))
  return pairs(entries, options.includes('WITHSCORES'))
}

function zdelete(keys: Keyspace, key: string, members: readonly string[]): number {
  if (!typed(keys, key, 'zset')) return 0
  return onZset(keys, key, (zset) => members.filter((member) => zset.delete(member)).length)
}

/** FNV-1a: a stable position for SCAN, so that a cursor survives deletions. */
function position(key: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193)
  return h >>> 0
}

function scan(keys: Keyspace, args: readonly string[]): ServerReply {
  const cursor = integer(args[1])
  let [match, count, type]: [string, number, string | undefined] = ['*', 10, undefined]
  for (let i = 2; i < args.length; i += 2) {
    const option = args[i]!.toUpperCase()
    if (option === 'MATCH') match = args[i + 1]!
    else if (option === 'COUNT') count = integer(args[i + 1])
    else if (option === 'TYPE') type = args[i + 1]!.toLowerCase()
    else throw syntax()
  }
  const all = keys
    .keys()
    .map((key) => [position(key) + 1, key] as const)
    .filter(([at]) => at > cursor)
    .sort(([a], [b]) => a - b)
  let size = Math.min(count, all.length)
  while (size < all.length && all[size]![0] === all[size - 1]![0]) size++
  const found = all.slice(0, size).map(([, key]) => key)
  const next = size < all.length ? all[size - 1]![0] : 0
  return [
    String(next),
    found.filter((key) => matchesGlob(match, key) && (!type || keys.get(key)?.kind === type)),
  ]
}

function pop(keys: Keyspace, args: readonly string[], end: 'shift' | 'pop'): ServerReply {
  const found = typed(keys, args[1]!, 'list')
  const count = args[2] === undefined ? undefined : integer(args[2])
  if (!found) return null
  return onList(keys, args[1]!, (items) => {
    if (count === undefined) return items[end]() ?? null
    return Array.from({ length: Math.min(count, items.length) }, () => items[end]()!)
  })
}

type Run = Command['run']
const read = (arity: number, run: Run): Command => ({ arity, write: false, denyOom: false, run })
const write = (arity: number, run: Run): Command => ({ arity, write: true, denyOom: false, run })
const grow = (arity: number, run: Run): Command => ({ arity, write: true, denyOom: true, run })

const remove: Run = (keys, args) => args.slice(1).filter((key) => keys.delete(key)).length

export const COMMANDS: Record<string, Command> = {
  GET: read(2, (k, a) => text(k, a[1]!) ?? null),
  MGET: read(-2, (k, a) =>
    a.slice(1).map((key) => {
      const value = k.get(key)
      return value?.kind === 'string' ? value.text : null
    }),
  ),
  STRLEN: read(2, (k, a) => (text(k, a[1]!) ?? '').length),
  GETRANGE: read(4, (k, a) => range([...(text(k, a[1]!) ?? '')], integer(a[2]), integer(a[3])).join('')),
  EXISTS: read(-2, (k, a) => a.slice(1).filter((key) => k.get(key)).length),
  TYPE: read(2, (k, a) => new Status(k.get(a[1]!)?.kind ?? 'none')),
  TTL: read(2, (k, a, now) => ttl(k, a[1]!, now, 1_000)),
  PTTL: read(2, (k, a, now) => ttl(k, a[1]!, now, 1)),
  PEXPIRETIME: read(2, (k, a) => {
    const at = k.expireAt(a[1]!)
    return at === undefined ? -2 : (at ?? -1)
  }),
  SET: grow(-3, set),
  SETNX: grow(3, (k, a) => {
    if (k.get(a[1]!)) return 0
    k.set(a[1]!, { kind: 'string', text: a[2]! })
    return 1
  }),
  PSETEX: grow(4, (k, a, now) => {
    k.set(a[1]!, { kind: 'string', text: a[3]! }, expiryOf('PX', a[2], now, 'psetex'))
    return OK
  }),
  MSET: grow(-3, (k, a) => {
    if (a.length % 2 === 0) throw new ServerError("ERR wrong number of arguments for 'mset' command")
    for (let i = 1; i < a.length; i += 2) k.set(a[i]!, { kind: 'string', text: a[i + 1]! })
    return OK
  }),
  APPEND: grow(3, (k, a) => {
    const joined = (text(k, a[1]!) ?? '') + a[2]!
    setText(k, a[1]!, joined)
    return joined.length
  }),
  INCR: grow(2, (k, a) => incrementBy(k, a[1]!, 1)),
  DECR: grow(2, (k, a) => incrementBy(k, a[1]!, -1)),
  INCRBY: grow(3, (k, a) => incrementBy(k, a[1]!, integer(a[2]))),
  DECRBY: grow(3, (k, a) => incrementBy(k, a[1]!, -integer(a[2]))),
  GETDEL: write(2, (k, a) => {
    const value = text(k, a[1]!) ?? null
    k.delete(a[1]!)
    return value
  }),
  GETEX: write(-2, (k, a, now) => {
    const value = text(k, a[1]!)
    const option = a[2]?.toUpperCase()
    if (value === undefined) return null
    if (option === 'PERSIST') k.setExpireAt(a[1]!, undefined)
    else if (option !== undefined) k.setExpireAt(a[1]!, expiryOf(option, a[3], now, 'getex'))
    return value ?? null
  }),
  DEL: write(-2, remove),
  UNLINK: write(-2, remove),
  EXPIRE: write(-3, (k, a, now) => expire(k, a, now + integer(a[2]) * 1_000)),
  PEXPIRE: write(-3, (k, a, now) => expire(k, a, now + integer(a[2]))),
  EXPIREAT: write(-3, (k, a) => expire(k, a, integer(a[2]) * 1_000)),
  PEXPIREAT: write(-3, (k, a) => expire(k, a, integer(a[2]))),
  RENAME: write(3, (k, a) => {
    const value = k.get(a[1]!)
    if (!value) throw new ServerError('ERR no such key')
    const at = k.expireAt(a[1]!) ?? undefined
    k.delete(a[1]!)
    k.set(a[2]!, value, at)
    return OK
  }),
  PERSIST: write(2, (k, a) => {
    if (!k.expireAt(a[1]!)) return 0
    k.setExpireAt(a[1]!, undefined)
    return 1
  }),
  SCAN: read(-2, scan),
  KEYS: read(2, (k, a) => k.keys().filter((key) => matchesGlob(a[1]!, key))),
  DBSIZE: read(1, (k) => k.keys().length),
  FLUSHALL: write(-1, (k) => {
    k.clear()
    return OK
  }),
  FLUSHDB: write(-1, (k) => {
    k.clear()
    return OK
  }),

  HGET: read(3, (k, a) => hash(k, a[1]!)?.get(a[2]!) ?? null),
  HMGET: read(-3, (k, a) => {
    const fields = hash(k, a[1]!)
    return a.slice(2).map((field) => fields?.get(field) ?? null)
  }),
  HGETALL: read(2, (k, a) => [...(hash(k, a[1]!) ?? [])].flat()),
  HKEYS: read(2, (k, a) => [...(hash(k, a[1]!)?.keys() ?? [])]),
  HVALS: read(2, (k, a) => [...(hash(k, a[1]!)?.values() ?? [])]),
  HLEN: read(2, (k, a) => hash(k, a[1]!)?.size ?? 0),
  HSTRLEN: read(3, (k, a) => hash(k, a[1]!)?.get(a[2]!)?.length ?? 0),
  HEXISTS: read(3, (k, a) => (hash(k, a[1]!)?.has(a[2]!) ? 1 : 0)),
  HSET: grow(-4, (k, a) => {
    if (a.length % 2) throw new ServerError("ERR wrong number of arguments for 'hset' command")
    return onHash(k, a[1]!, (fields) => {
      const before = fields.size
      for (let i = 2; i < a.length; i += 2) fields.set(a[i]!, a[i + 1]!)
      return fields.size - before
    })
  }),
  HMSET: grow(-4, (k, a) => {
    if (a.length % 2) throw new ServerError("ERR wrong number of arguments for 'hmset' command")
    onHash(k, a[1]!, (fields) => {
      for (let i = 2; i < a.length; i += 2) fields.set(a[i]!, a[i + 1]!)
    })
    return OK
  }),
  HSETNX: grow(4, (k, a) =>
    onHash(k, a[1]!, (fields) => {
      if (fields.has(a[2]!)) return 0
      fields.set(a[2]!, a[3]!)
      return 1
    }),
  ),
  HINCRBY: grow(4, (k, a) => {
    const by = integer(a[3])
    return onHash(k, a[1]!, (fields) => {
      const old = fields.get(a[2]!) ?? '0'
      if (!/^(0|-?[1-9]\d*)$/.test(old)) throw new ServerError('ERR hash value is not an integer')
      fields.set(a[2]!, String(Number(old) + by))
      return Number(old) + by
    })
  }),
  HDEL: write(-3, (k, a) =>
    hash(k, a[1]!)
      ? onHash(k, a[1]!, (fields) => a.slice(2).filter((field) => fields.delete(field)).length)
      : 0,
  ),

  LPUSH: grow(-3, (k, a) => onList(k, a[1]!, (items) => items.unshift(...a.slice(2).reverse()))),
  RPUSH: grow(-3, (k, a) => onList(k, a[1]!, (items) => items.push(...a.slice(2)))),
  LPOP: write(-2, (k, a) => pop(k, a, 'shift')),
  RPOP: write(-2, (k, a) => pop(k, a, 'pop')),
  LLEN: read(2, (k, a) => typed(k, a[1]!, 'list')?.items.length ?? 0),
  LINDEX: read(3, (k, a) => typed(k, a[1]!, 'list')?.items.at(integer(a[2])) ?? null),
  LRANGE: read(4, (k, a) => range(typed(k, a[1]!, 'list')?.items ?? [], integer(a[2]), integer(a[3]))),
  LTRIM: write(4, (k, a) => {
    const kept = range(typed(k, a[1]!, 'list')?.items ?? [], integer(a[2]), integer(a[3]))
    if (typed(k, a[1]!, 'list')) onList(k, a[1]!, (items) => items.splice(0, items.length, ...kept))
    return OK
  }),
  LREM: write(4, (k, a) => {
    const count = integer(a[2])
    if (!typed(k, a[1]!, 'list')) return 0
    return onList(k, a[1]!, (items) => {
      let left = count === 0 ? items.length : Math.abs(count)
      const before = items.length
      const kept = (count < 0 ? [...items].reverse() : items).filter((item) => item !== a[3] || left-- <= 0)
      items.splice(0, before, ...(count < 0 ? kept.reverse() : kept))
      return before - items.length
    })
  }),

  SADD: grow(-3, (k, a) =>
    onSet(k, a[1]!, (members) => {
      const before = members.size
      for (const member of a.slice(2)) members.add(member)
      return members.size - before
    }),
  ),
  SREM: write(-3, (k, a) =>
    typed(k, a[1]!, 'set')
      ? onSet(k, a[1]!, (members) => a.slice(2).filter((m) => members.delete(m)).length)
      : 0,
  ),
  SMEMBERS: read(2, (k, a) => [...(typed(k, a[1]!, 'set')?.members ?? [])]),
  SISMEMBER: read(3, (k, a) => (typed(k, a[1]!, 'set')?.members.has(a[2]!) ? 1 : 0)),
  SCARD: read(2, (k, a) => typed(k, a[1]!, 'set')?.members.size ?? 0),

  ZADD: grow(-4, zadd),
  ZINCRBY: grow(4, (k, a) => zadd(k, ['ZADD', a[1]!, 'INCR', a[2]!, a[3]!])),
  ZREM: write(-3, (k, a) => zdelete(k, a[1]!, a.slice(2))),
  ZCARD: read(2, (k, a) => typed(k, a[1]!, 'zset')?.scores.size ?? 0),
  ZSCORE: read(3, (k, a) => {
    const score = typed(k, a[1]!, 'zset')?.scores.get(a[2]!)
    return score === undefined ? null : scoreText(score)
  }),
  ZRANK: read(-3, (k, a) => {
    const at = sorted(typed(k, a[1]!, 'zset')?.scores ?? new Map()).findIndex(([member]) => member === a[2])
    return at < 0 ? null : at
  }),
  ZCOUNT: read(4, (k, a) => byScore(typed(k, a[1]!, 'zset')?.scores, a[2]!, a[3]!).length),
  ZRANGE: read(-4, zrange),
  ZREVRANGE: read(-4, (k, a) => zrange(k, [...a, 'REV'])),
  ZRANGEBYSCORE: read(-4, (k, a) => zrangeByScore(k, a, false)),
  ZREVRANGEBYSCORE: read(-4, (k, a) => zrangeByScore(k, a, true)),
  ZREMRANGEBYSCORE: write(4, (k, a) =>
    zdelete(k, a[1]!, pairs(byScore(typed(k, a[1]!, 'zset')?.scores, a[2]!, a[3]!), false)),
  ),
  ZREMRANGEBYRANK: write(4, (k, a) =>
    zdelete(
      k,
      a[1]!,
      pairs(range(sorted(typed(k, a[1]!, 'zset')?.scores ?? new Map()), integer(a[2]), integer(a[3])), false),
    ),
  ),
  ZPOPMIN: write(-2, (k, a) => {
    const entries = sorted(typed(k, a[1]!, 'zset')?.scores ?? new Map()).slice(
      0,
      a[2] === undefined ? 1 : integer(a[2]),
    )
    zdelete(k, a[1]!, pairs(entries, false))
    return pairs(entries, true)
  }),
}
