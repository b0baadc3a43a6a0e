import { defineScript, LUA_NOW } from '../redis/script.ts'

/**
 * Adds what a process counted since its last report. KEYS: counts by minute (hash), denied
 * identities (sorted set). ARGV: allowed, denied, shadow, top size, then pairs (identity, count).
 * Minutes older than an hour go when a new one begins; the ranking starts anew every hour.
 */
export const TALLY = defineScript(
  'limit.tally',
  `${LUA_NOW}
local minute = math.floor(now / 60000)
local fresh = redis.call('HEXISTS', KEYS[1], minute .. ' allowed') == 0
for i, name in ipairs({ 'allowed', 'denied', 'shadow' }) do
  redis.call('HINCRBY', KEYS[1], minute .. ' ' .. name, ARGV[i])
end
if fresh then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if tonumber(string.match(field, '^%d+')) <= minute - 60 then redis.call('HDEL', KEYS[1], field) end
  end
end
redis.call('PEXPIRE', KEYS[1], 3700000)
if #ARGV > 4 then
  for i = 5, #ARGV, 2 do redis.call('ZINCRBY', KEYS[2], ARGV[i + 1], ARGV[i]) end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - ARGV[4])
  if redis.call('PTTL', KEYS[2]) < 0 then redis.call('PEXPIRE', KEYS[2], 3600000) end
end
return 1
`,
)

/** Reads both: `[hash as flat list, ranking as flat list, server minute]`. */
export const TALLY_READ = defineScript(
  'limit.tally-read',
  `${LUA_NOW}
return { redis.call('HGETALL', KEYS[1]), redis.call('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1, 'WITHSCORES'), math.floor(now / 60000) }
`,
)
