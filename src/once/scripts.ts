import { defineScript, LUA_NOW, luaDeadline } from '../redis/script.ts'

/**
 * The record of one key: KEYS[1], a hash.
 *
 *   st  r running, d done, f failed for good, t failed and may be tried again
 *   ow  owner of the run   fp  fingerprint   fn  fencing token   at  attempts   sa  begun at (ms)
 *   lu  end of the lease (ms): running and past it is "indeterminate"
 *   bf  how the run before ended   rs  encoded result   er  encoded error   cn  number of checkpoints   c:<step>  "<n> <encoded>"
 *
 * Trade-offs. Checkpoints live in the record itself, so that one key expires as a whole; they are
 * removed when the run ends. A record that vanished (flush, eviction, failover) while its run goes on
 * is written again at the next heartbeat: an absent record has no other owner, and with it back a
 * second run stays out. Every ending first touches the expiry, which a full server still allows.
 * Common ARGV: 1 deadline, 2 owner, 3 fingerprint, 4 lease ms, 5 retain ms, 6 fence, 7 attempt.
 */
const HEAD = `
${LUA_NOW}
${luaDeadline('ARGV[1]')}
local key, owner, lease, retain = KEYS[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local function number(value) return string.format('%.0f', value) end

-- Ours, or written again when it vanished.
local function mine()
  redis.call('PEXPIRE', key, number(lease + retain))
  local has = redis.call('HMGET', key, 'st', 'ow')
  if has[1] then return has[2] == owner, has[1] end
  redis.call('HSET', key, 'st', 'r', 'ow', owner, 'fp', ARGV[3], 'fn', ARGV[6], 'at', ARGV[7],
    'sa', number(now), 'lu', number(now + lease))
  redis.call('PEXPIRE', key, number(lease + retain))
  return true, 'r'
end

local function forget_steps()
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 2) == 'c:' then redis.call('HDEL', key, field) end
  end
  redis.call('HDEL', key, 'cn')
end
`

/** ARGV[6] = policy. Replies { state, … }, see the adapter. */
export const CLAIM = defineScript(
  'once.claim',
  `${HEAD}
local has = redis.call('HMGET', key, 'st', 'ow', 'fp', 'fn', 'at', 'lu', 'rs', 'er', 'bf')
local state, before = has[1], 'none'
if state then
  if has[3] ~= ARGV[3] then return { 'mismatch' } end
  if state == 'd' then return { 'done', has[7] or false } end
  if state == 'f' then return { 'failed', has[8] or '' } end
  if state == 't' then before = 'failed' end
  if state == 'r' then
    if has[2] == owner then
      before = 'again'
    elseif tonumber(has[6]) >= now then
      return { 'running', tonumber(has[6]) - now }
    elseif ARGV[6] == 'hold' then
      return { 'indeterminate', tonumber(has[5]) }
    else
      before = 'crashed'
    end
  end
end
local fence, attempt = has[4], has[5]
if before == 'again' then
  before = has[9] or 'none'
else
  fence = number(math.max(tonumber(has[4] or '0') + 1, now_us))
  attempt = number(tonumber(has[5] or '0') + 1)
  if before == 'crashed' and ARGV[6] == 'retry' then forget_steps() end
end
redis.call('HSET', key, 'st', 'r', 'ow', owner, 'fp', ARGV[3], 'fn', fence, 'at', attempt,
  'sa', number(now), 'lu', number(now + lease), 'bf', before)
redis.call('PEXPIRE', key, number(lease + retain))
local steps = {}
if before ~= 'none' then
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 2) == 'c:' then
      steps[#steps + 1] = string.sub(all[at], 3)
      steps[#steps + 1] = all[at + 1]
    end
  end
end
return { 'won', fence, attempt, before, steps }
`,
)

/** ARGV: owner, channel. Frees a claim whose routine never began. */
export const ABANDON = defineScript(
  'once.abandon',
  `
local has = redis.call('HMGET', KEYS[1], 'st', 'ow')
if has[1] ~= 'r' or has[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'st', 't')
redis.pcall('PUBLISH', ARGV[2], 't')
return 1
`,
)

/** Replies 1, or 0 when superseded. */
export const BEAT = defineScript(
  'once.beat',
  `${HEAD}
local ours, state = mine()
if not ours or state ~= 'r' then return 0 end
redis.call('HSET', key, 'lu', number(now + lease))
return 1
`,
)

/** ARGV[8] = step, ARGV[9] = encoded result. Replies 1, or 0 when superseded. */
export const CHECKPOINT = defineScript(
  'once.checkpoint',
  `${HEAD}
local ours, state = mine()
if not ours or state ~= 'r' then return 0 end
if redis.call('HEXISTS', key, 'c:' .. ARGV[8]) == 0 then
  local at = redis.call('HINCRBY', key, 'cn', 1)
  redis.call('HSET', key, 'c:' .. ARGV[8], at .. ' ' .. ARGV[9])
end
return 1
`,
)

/**
 * ARGV[8] = new state, ARGV[9] = 'rs', 'er' or '', ARGV[10] = what belongs there, ARGV[11] = channel.
 * Replies 1, or 0 when superseded.
 */
export const END = defineScript(
  'once.end',
  `${HEAD}
local ours, state = mine()
if not ours then return 0 end
if state == 'r' then
  redis.call('HSET', key, 'st', ARGV[8])
  if ARGV[9] ~= '' then redis.call('HSET', key, ARGV[9], ARGV[10]) end
  if ARGV[8] ~= 't' then forget_steps() end
end
redis.call('PEXPIRE', key, number(retain))
redis.pcall('PUBLISH', ARGV[11], ARGV[8])
return 1
`,
)

/**
 * By an operator. ARGV as for END, and ARGV[12] = '1' to override a living run. The owner is cleared,
 * so that a run that is still alive somewhere is superseded. Replies 1, 0 when absent, -1 when alive.
 */
export const RESOLVE = defineScript(
  'once.resolve',
  `${HEAD}
local has = redis.call('HMGET', key, 'st', 'lu')
if not has[1] then return 0 end
if has[1] == 'r' and tonumber(has[2]) >= now and ARGV[12] ~= '1' then return -1 end
redis.call('PEXPIRE', key, number(retain))
redis.call('HDEL', key, 'rs', 'er')
redis.call('HSET', key, 'st', ARGV[8], 'ow', '')
if ARGV[9] ~= '' then redis.call('HSET', key, ARGV[9], ARGV[10]) end
if ARGV[8] ~= 't' then forget_steps() end
redis.pcall('PUBLISH', ARGV[11], ARGV[8])
return 1
`,
)

/**
 * For lists: small, whatever the record holds. Changes nothing. Replies nil when absent, else { state,
 * 1 when the lease is over, begun at, attempts, number of steps, last step, owner }.
 */
export const LOOK = defineScript(
  'once.look',
  `${LUA_NOW}
local has = redis.call('HMGET', KEYS[1], 'st', 'lu', 'sa', 'at', 'ow')
if not has[1] then return false end
local steps, newest, step = 0, -1, ''
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if string.sub(all[at], 1, 2) == 'c:' then
    steps = steps + 1
    local n = tonumber(string.match(all[at + 1], '^%d+')) or 0
    if n > newest then newest, step = n, string.sub(all[at], 3) end
  end
end
local over = tonumber(has[2] or '0') < now and 1 or 0
return { has[1], over, has[3] or '0', has[4] or '0', steps, step, has[5] or '' }
`,
)
