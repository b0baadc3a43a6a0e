import { defineScript, LUA_NOW, luaDeadline } from '../redis/script.ts'

/**
 * Permits as members of a sorted set, scored by the end of their lease in server ms. Ended ones are
 * not counted, and are removed when somebody writes anyway: a refused call writes nothing.
 *
 * KEYS: 1 the set. ARGV: 1 deadline, 2 verb (acquire, renew, release, count), 3 limit, 4 permit, 5 lease ms.
 * Reply: 1 or 0, permits in use, ms until the first of them ends by itself.
 */
export const PERMIT = defineScript(
  'limit.permit',
  `${LUA_NOW}${luaDeadline('ARGV[1]')}
local key, verb, limit, permit, lease = KEYS[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local function report(done)
  local first = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%d', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return { done, redis.call('ZCOUNT', key, '(' .. string.format('%d', now), '+inf'), first[2] and first[2] - now or 0 }
end
local function keep()
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%d', now))
  redis.call('ZADD', key, string.format('%d', now + lease), permit)
  if redis.call('PTTL', key) < lease then redis.call('PEXPIRE', key, ARGV[5]) end
end
if verb == 'release' then
  return { redis.call('ZREM', key, permit), 0, 0 }
end
local ends = redis.call('ZSCORE', key, permit)
local held = ends and tonumber(ends) > now
if verb == 'renew' then
  if held then keep() end
  return { held and 1 or 0, 0, 0 }
end
if verb == 'acquire' and (held or redis.call('ZCOUNT', key, '(' .. string.format('%d', now), '+inf') < limit) then
  keep()
  return report(1)
end
return report(0)
`,
)
