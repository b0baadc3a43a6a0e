import { defineScript, LUA_NOW } from '../../redis/script.ts'

/**
 * The lease of a partition. Jobs carry no lock of BullMQ's (token '0'): whoever has this key owns all
 * jobs of the partition, so one renewal covers thousands of them and a take-over needs no second
 * round of waiting. The fence only ever rises.
 * KEYS lease, fence · ARGV token, ttl ms → fence, or 0 when somebody has it
 */
export const ACQUIRE = defineScript(
  'queue-acquire',
  `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local fence = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return fence
`,
)

/** KEYS lease · ARGV token, ttl ms → 1, or 0 when it is not ours any more */
export const RENEW = defineScript(
  'queue-renew',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`,
)

/** KEYS lease · ARGV token → 1 when it was ours */
export const FREE = defineScript(
  'queue-free',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`,
)

/**
 * A sign of life of a worker process; those silent for longer than ARGV[2] ms are forgotten.
 * KEYS workers · ARGV process, ttl ms → number of live ones
 */
export const BEAT = defineScript(
  'queue-beat',
  `${LUA_NOW}
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
`,
)

/**
 * How much waits. The two counters are kept beside BullMQ's lists, not in one step with them, so a
 * crash in between, or a job removed by hand, lets them drift: they are held to at least one message
 * per parcel and start anew whenever nothing is there.
 * KEYS wait, active, count, meta · ARGV prefix of jobs → parcels, messages, wall ms of the oldest or '', paused
 */
export const LOOK = defineScript(
  'queue-look',
  `
local wait, active = redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2])
local paused = redis.call('HEXISTS', KEYS[4], 'paused')
if wait + active == 0 then
  redis.call('DEL', KEYS[3])
  return {0, 0, '', paused}
end
local count = redis.call('HMGET', KEYS[3], 'added', 'settled')
local messages = math.max(wait + active, (tonumber(count[1]) or 0) - (tonumber(count[2]) or 0))
local first = redis.call('LINDEX', active > 0 and KEYS[2] or KEYS[1], -1)
local at = first and redis.call('HGET', ARGV[1] .. first, 'timestamp') or ''
return {wait + active, messages, at or '', paused}
`,
)

/**
 * After adds: counts their messages and tells the workers. One command for both and, where slots do not
 * matter, for all partitions of a flush. What it says is a hint, so it need not be one step with the adds.
 * KEYS counts … · ARGV channel, partitions joined by ',', messages …
 */
export const ADDED = defineScript(
  'queue-added',
  `
for i, key in ipairs(KEYS) do redis.call('HINCRBY', key, 'added', ARGV[i + 2]) end
return redis.call('PUBLISH', ARGV[1], ARGV[2])
`,
)
