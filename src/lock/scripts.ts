import { defineScript, LUA_NOW, luaDeadline } from '../redis/script.ts'

/**
 * The rules of a lock, in one place for mutex, semaphore and read-write lock. Four keys of one slot:
 *
 *   KEYS[1] hash   f = last fencing token, s = last ticket, h:<owner> = "<fence> <since>",
 *                  c:<member> = channel on which a waiter listens, n:<member> = when it was told
 *   KEYS[2] zset   holders: member = mode .. owner, score = end of the lease in server ms
 *   KEYS[3] zset   queue:   member = mode .. owner, score = ticket
 *   KEYS[4] zset   the same waiters by when they are given up, unless they ask again
 *
 * Trade-offs. A waiter is told that it is its turn and then takes the lock itself, one command more
 * than handing it over inside the release; but a lease must be measured from before the holder's own
 * send, and a dead waiter must not be given a whole lease. One told waiter reserves its place for
 * GRACE_MS only; it is skipped at once when its channel has no listener (its process is gone).
 * Fencing tokens are max(stored + 1, server µs): they rise across the loss of the hash and across
 * a failover to an older counter, as long as the new server's clock is not behind the old tokens.
 */
const GRACE_MS = 1_000
/** A waiter that has not asked for this long has left. It asks every 3 s at the latest. */
const WAITER_MS = 10_000
/** How long the token counter outlives its lock: the longest step back of a clock that it covers. */
const FENCE_KEEP_MS = 3_600_000

const NAMES = `
local meta, holders, queue = KEYS[1], KEYS[2], KEYS[3]
local function number(value) return string.format('%.0f', value) end
`

/** Needed only where somebody else holds or waits; defining them costs more than most calls. */
const RULES = `
local alive = KEYS[4]
local count, held = 0, ''

local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, number(ms)) end
end

local function look()
  local ended = redis.call('ZRANGEBYSCORE', holders, '-inf', number(now))
  for _, member in ipairs(ended) do
    redis.call('ZREM', holders, member)
    redis.call('HDEL', meta, 'h:' .. string.sub(member, 2))
  end
  count = redis.call('ZCARD', holders)
  if count > 0 then held = string.sub(redis.call('ZRANGE', holders, 0, 0)[1], 1, 1) end
end

local function drop(member)
  redis.call('ZREM', queue, member)
  redis.call('ZREM', alive, member)
  redis.call('HDEL', meta, 'c:' .. member, 'n:' .. member)
end

local function prune()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', number(now), 'LIMIT', 0, 100)) do
    drop(member)
  end
end

local function room(mode, capacity)
  if mode == 'p' then return count < capacity end
  return count == 0 or (mode == 'r' and held == 'r')
end

local function take(mode)
  count = count + 1
  held = mode
end

-- Walks the queue from its head, tells those whose turn it is, drops the dead. True when 'me' may
-- take the lock now; without 'me', or with one who does not queue, those in the queue come first.
local function settle(me, capacity)
  local at = 0
  for _ = 1, 1000 do
    local head = redis.call('ZRANGE', queue, at, at)[1]
    if not head or head == me then return me ~= nil and room(string.sub(me, 1, 1), capacity) end
    local mode = string.sub(head, 1, 1)
    if not room(mode, capacity) then return false end
    local known = redis.call('HMGET', meta, 'c:' .. head, 'n:' .. head)
    local told = known[2] and tonumber(known[2])
    local gone = told and now - told > ${GRACE_MS}
    if not told then
      -- pcall: an ACL without the channel must not break the lock; such a waiter polls.
      if known[1] then gone = redis.pcall('PUBLISH', known[1], head) == 0 end
      if not gone then redis.call('HSET', meta, 'n:' .. head, number(now)) end
    end
    if gone then
      drop(head)
    else
      take(mode)
      at = at + 1
    end
  end
  return false
end
`

/**
 * ARGV: deadline, member, capacity, ttl ms, '1' to queue, ticket or '', channel or ''.
 * Replies { 1, fence } or { 0, ticket, rank, ms until the first lease ends }.
 */
export const CLAIM = defineScript(
  'lock.claim',
  `${LUA_NOW}
${luaDeadline('ARGV[1]')}
${NAMES}
local me, capacity, ttl = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local mode, owner = string.sub(me, 1, 1), string.sub(me, 2)

local function hold()
  local fence = number(math.max(tonumber(redis.call('HGET', meta, 'f') or '0') + 1, now_us))
  redis.call('HSET', meta, 'f', fence, 'h:' .. owner, fence .. ' ' .. number(now))
  redis.call('ZADD', holders, number(now + ttl), me)
  return fence
end

-- Nobody there and nobody waiting, as nearly always: no rules needed.
if redis.call('EXISTS', holders, queue) == 0 then
  local fence = hold()
  redis.call('PEXPIRE', meta, number(ttl + ${FENCE_KEEP_MS}))
  redis.call('PEXPIRE', holders, ARGV[4])
  return { 1, fence }
end
${RULES}
look()

-- Our own earlier attempt got through and its reply was lost: the same lease, from now on.
if count > 0 and redis.call('ZSCORE', holders, me) then
  redis.call('ZADD', holders, number(now + ttl), me)
  keep(holders, ttl)
  return { 1, string.match(redis.call('HGET', meta, 'h:' .. owner) or '0', '^%d+') }
end

local waiting = redis.call('ZCARD', queue)
if ARGV[5] == '1' and (waiting > 0 or not room(mode, capacity)) then
  if waiting == 0 or not redis.call('ZSCORE', queue, me) then
    local ticket = ARGV[6]
    if ticket == '' then
      ticket = number(math.max((tonumber(redis.call('HGET', meta, 's') or '0')) + 1, now_us))
      redis.call('HSET', meta, 's', ticket)
    end
    redis.call('ZADD', queue, ticket, me)
    waiting = waiting + 1
  end
  redis.call('ZADD', alive, number(now + ${WAITER_MS}), me)
  if ARGV[7] ~= '' then redis.call('HSET', meta, 'c:' .. me, ARGV[7]) end
  keep(queue, ${WAITER_MS})
  keep(alive, ${WAITER_MS})
  keep(meta, ${WAITER_MS})
end
if waiting > 0 then prune() end

if settle(me, capacity) then
  local fence = hold()
  keep(meta, ttl + ${FENCE_KEEP_MS})
  keep(holders, ttl)
  if waiting > 0 then
    drop(me)
    look()
    settle(nil, capacity)
  end
  return { 1, fence }
end
local first = redis.call('ZRANGE', holders, 0, 0, 'WITHSCORES')
local rank = redis.call('ZRANK', queue, me)
return {
  0,
  rank and redis.call('ZSCORE', queue, me) or '',
  rank or 0,
  first[2] and math.max(0, tonumber(first[2]) - now) or ${GRACE_MS}
}
`,
)

/**
 * ARGV: deadline, member, ttl ms, fence. Replies 1, or 0 when it is gone, -1 when another took it.
 * The first write frees memory or changes none, so that a full server (OOM) still renews.
 */
export const RENEW = defineScript(
  'lock.renew',
  `${LUA_NOW}
${luaDeadline('ARGV[1]')}
${NAMES}
${RULES}
local me, ttl = ARGV[2], tonumber(ARGV[3])
redis.call('PEXPIRE', meta, number(ttl + ${FENCE_KEEP_MS}))
look()
if count == 0 or not redis.call('ZSCORE', holders, me) then
  local newest = tonumber(redis.call('HGET', meta, 'f') or '0')
  return newest > tonumber(ARGV[4]) and -1 or 0
end
redis.call('ZADD', holders, number(now + ttl), me)
keep(holders, ttl)
return 1
`,
)

/**
 * ARGV: deadline, member, fence. For a quorum: the holder's token becomes the one that its servers
 * agreed on, and whoever comes later gets a greater one. Replies 1, or 0 when it holds nothing here.
 */
export const RAISE = defineScript(
  'lock.raise',
  `${LUA_NOW}
${luaDeadline('ARGV[1]')}
${NAMES}
local ends = redis.call('ZSCORE', holders, ARGV[2])
if not ends or tonumber(ends) <= now then return 0 end
local newest = math.max(tonumber(redis.call('HGET', meta, 'f') or '0'), tonumber(ARGV[3]))
redis.call('HSET', meta, 'f', number(newest), 'h:' .. string.sub(ARGV[2], 2), ARGV[3] .. ' ' .. number(now))
return 1
`,
)

/**
 * ARGV: member, capacity. Gives back a lease, leaves the queue, tells who is next. Replies 1 when it
 * held a lease. No deadline: it concerns this owner alone and may run late or twice.
 */
export const RELEASE = defineScript(
  'lock.release',
  `${NAMES}
local me, capacity = ARGV[1], tonumber(ARGV[2])
local had = redis.call('ZREM', holders, me)
redis.call('HDEL', meta, 'h:' .. string.sub(me, 2))
if redis.call('EXISTS', queue) == 0 then return had end
${LUA_NOW}
${RULES}
drop(me)
prune()
look()
settle(nil, capacity)
return had
`,
)

/**
 * By an operator. ARGV: deadline. Takes away every lease and tells as many as held one. The token counter
 * stays, so that whoever comes next has a greater one. Replies the number of leases.
 */
export const EVICT = defineScript(
  'lock.evict',
  `${LUA_NOW}
${luaDeadline('ARGV[1]')}
${NAMES}
${RULES}
look()
local had = count
for _, member in ipairs(redis.call('ZRANGE', holders, 0, -1)) do
  redis.call('HDEL', meta, 'h:' .. string.sub(member, 2))
end
redis.call('UNLINK', holders)
if had == 0 then return 0 end
prune()
look()
settle(nil, had)
return had
`,
)
