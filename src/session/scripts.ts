import { defineScript, LUA_NOW, luaDeadline } from '../redis/script.ts'
import { MARK_MS } from './store.ts'

/**
 * The rules of a session on the server.
 *
 *   session   hash  @i idle ms   @a absolute end   @c created   @v version   @b bytes
 *                   @x index key of the user   @u user   @m note   .<field> = text
 *             or    @r = the sealed new id, for the grace after a regenerate
 *   index     hash  @e epoch   <member> = "<created> <absolute end> <session key>"
 *
 * A session with a user is alive only while the user's index lists it: revoking all is the removal
 * of fields of one hash, atomic against logins and touches, and what is listed is what is usable.
 * Losing the index means logged out, never the other way round.
 *
 * Trade-offs. The index key is read from the session (one round trip, although the user is not
 * known before), so it is not among KEYS: it lies in the same slot for ids that we made, and where
 * it does not (ids made by a framework, in a cluster) the script says so and the caller asks.
 * The idle life is kept by the key's own expiry, which a touch can move even when memory is full.
 *
 * ARGV[1] deadline in server ms, '0' = none; ARGV[2] '1' in a cluster; ARGV[3] member.
 */
const RULES = `
${LUA_NOW}
${luaDeadline('ARGV[1]')}
local member = ARGV[3]

local function int(value) return string.format('%.0f', value) end

local function near(key)
  return ARGV[2] ~= '1' or string.match(key, '{(.-)}') == string.match(KEYS[1], '{(.-)}')
end

-- False once the user's index, where it can be seen from here, does not list the session.
local function listed(index)
  if not index or not near(index) then return true end
  if redis.call('HEXISTS', index, member) == 1 then return true end
  redis.call('UNLINK', KEYS[1])
  return false
end

-- Numbers go to Redis and back as whole ones; only a text made of one needs int().
local function renew(key, idle, ends)
  local till = math.min(now + tonumber(idle), tonumber(ends))
  redis.call('PEXPIREAT', key, till)
  return till
end
`

/** For those that put a session into a user's index. A user with too many loses the oldest. */
const REGISTERS = `
local function register(index, who, key, ends, max, seed)
  redis.call('HSETNX', index, '@e', seed)
  redis.call('HSET', index, who, int(now) .. ' ' .. int(ends) .. ' ' .. key)
  if redis.call('HLEN', index) - 1 > max then
    local flat, alive = redis.call('HGETALL', index), {}
    for i = 1, #flat, 2 do
      if flat[i] ~= '@e' and flat[i] ~= who then
        local created, till, at = string.match(flat[i + 1], '^(%d+) (%d+) (.+)$')
        if not at or tonumber(till) <= now or (near(at) and redis.pcall('EXISTS', at) == 0) then
          redis.call('HDEL', index, flat[i])
        else
          alive[#alive + 1] = { tonumber(created), flat[i], at }
        end
      end
    end
    table.sort(alive, function(a, b) return a[1] < b[1] end)
    for i = 1, #alive + 1 - max do
      redis.call('HDEL', index, alive[i][2])
      if near(alive[i][3]) then redis.pcall('UNLINK', alive[i][3]) end
    end
  end
  if redis.call('PTTL', index) < ends - now then redis.call('PEXPIREAT', index, int(ends)) end
end
`

/** KEYS session. ARGV 4 least gain of a touch, -1 = none. */
export const LOAD = defineScript(
  'session-load',
  `${RULES}
local m = redis.call('HMGET', KEYS[1], '@r', '@x', '@i', '@a')
if m[1] then return { 'moved', m[1] } end
if not m[3] or not m[4] or not listed(m[2]) then return { 'gone' } end
if tonumber(m[4]) <= now then
  redis.call('UNLINK', KEYS[1])
  return { 'gone' }
end
local far = m[2] and not near(m[2]) and m[2] or ''
local every, left = tonumber(ARGV[4]), redis.call('PTTL', KEYS[1])
local gain = math.abs(math.min(tonumber(m[3]), tonumber(m[4]) - now) - left)
local till
if left < 0 or (every >= 0 and gain >= math.max(every, 1)) then
  till = renew(KEYS[1], m[3], m[4])
else
  till = now + left
end
return { 'found', far, now, till, redis.call('HGETALL', KEYS[1]) }
`,
)

/**
 * KEYS session, and the index where it is near. ARGV 4 idle, 5 absolute, 6 bytes, 7 mark, 8 most
 * sessions of a user, 9 epoch for a new index, 10 index key, 11 user, 12 note, then names and texts.
 */
export const CREATE = defineScript(
  'session-create',
  `${RULES}${REGISTERS}
if redis.call('EXISTS', KEYS[1]) == 1 then return { 'exists' } end
local ends = now + tonumber(ARGV[5])
if KEYS[2] then
  if ARGV[7] ~= '' and redis.call('HGET', KEYS[2], '@e') ~= ARGV[7] then return { 'revoked' } end
  register(KEYS[2], member, KEYS[1], ends, tonumber(ARGV[8]), ARGV[9])
end
redis.call('HSET', KEYS[1], '@i', ARGV[4], '@a', int(ends), '@c', int(now), '@v', '1', '@b', ARGV[6])
if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], '@x', ARGV[10], '@u', ARGV[11]) end
if ARGV[12] ~= '' then redis.call('HSET', KEYS[1], '@m', ARGV[12]) end
if #ARGV > 12 then redis.call('HSET', KEYS[1], unpack(ARGV, 13)) end
return { 'created', 1, now, renew(KEYS[1], ARGV[4], ends), int(ends) }
`,
)

/**
 * KEYS session. ARGV 4 most bytes, 5 most fields, then per change: name, expected ('*' anything,
 * '' nothing, else the SHA-1 of the text), and '=' .. text, or '-' to remove.
 */
export const SAVE = defineScript(
  'session-save',
  `${RULES}
local m = redis.call('HMGET', KEYS[1], '@r', '@x', '@i', '@a', '@b', '@v')
if m[1] then return { 'moved', m[1] } end
if not m[3] or not m[4] or tonumber(m[4]) <= now or not listed(m[2]) then return { 'gone' } end
local conflicts, delta, count = {}, 0, 0
for i = 6, #ARGV, 3 do
  local name, expected, change = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if expected ~= '*' then
    local current = redis.call('HGET', KEYS[1], name)
    if (current and redis.sha1hex(current) or '') ~= expected then
      conflicts[#conflicts + 1] = name
      conflicts[#conflicts + 1] = current or ''
    end
  end
  local size = redis.call('HSTRLEN', KEYS[1], name)
  if size > 0 then
    delta = delta - size - #name
    count = count - 1
  end
  if string.sub(change, 1, 1) == '=' then
    delta = delta + #change - 1 + #name
    count = count + 1
  end
end
if #conflicts > 0 then return { 'conflict', conflicts } end
local bytes = (tonumber(m[5]) or 0) + delta
local fields = 0
if count > 0 then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, 1, 1) == '.' then fields = fields + 1 end
  end
end
if (delta > 0 and bytes > tonumber(ARGV[4])) or (count > 0 and fields + count > tonumber(ARGV[5])) then
  return { 'too-large', int(bytes), int(fields + count) }
end
local version = (tonumber(m[6]) or 0) + 1
local sets, gone = { '@b', bytes, '@v', version }, {}
for i = 6, #ARGV, 3 do
  local change = ARGV[i + 2]
  if string.sub(change, 1, 1) == '=' then
    sets[#sets + 1] = ARGV[i]
    sets[#sets + 1] = string.sub(change, 2)
  else
    gone[#gone + 1] = ARGV[i]
  end
end
redis.call('HSET', KEYS[1], unpack(sets))
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
return { 'saved', version, now, renew(KEYS[1], m[3], m[4]) }
`,
)

/** KEYS session. Hands out what it held; `far`: the caller removes it from that index. */
export const DESTROY = defineScript(
  'session-destroy',
  `${RULES}
local flat = redis.call('HGETALL', KEYS[1])
local h = {}
for i = 1, #flat, 2 do h[flat[i]] = flat[i + 1] end
-- The index first: while the slot moves it may be elsewhere, and then nothing has been done yet.
local was_listed = not h['@x'] or not near(h['@x']) or redis.call('HDEL', h['@x'], member) == 1
redis.call('UNLINK', KEYS[1])
if h['@r'] then return { 'moved', h['@r'] } end
if not h['@i'] or not h['@a'] or not was_listed then return { 'gone' } end
local far = h['@x'] and not near(h['@x']) and h['@x'] or ''
return { 'destroyed', far, int(now), int(now), flat }
`,
)

/**
 * KEYS old session, new session, and the index where there is one. ARGV 4 new member, 5 alias,
 * 6 grace, 7 version or '*', 8 '1' for a login, 9 index, 10 absolute, 11 most sessions, 12 epoch
 * for a new index, 13 mark, then names and texts that replace the old ones.
 */
export const MOVE = defineScript(
  'session-move',
  `${RULES}${REGISTERS}
local m = redis.call('HMGET', KEYS[1], '@r', '@x', '@i', '@a', '@v')
if m[1] then return { 'moved', m[1] } end
if not m[3] or not m[4] or tonumber(m[4]) <= now or not listed(m[2]) then return { 'gone' } end
if m[2] and not near(m[2]) then return { 'apart' } end
if ARGV[7] ~= '*' and m[5] ~= ARGV[7] then return { 'retry' } end
local login = ARGV[8] == '1'
if login and ARGV[13] ~= '' and redis.call('HGET', ARGV[9], '@e') ~= ARGV[13] then return { 'revoked' } end
redis.call('RENAME', KEYS[1], KEYS[2])
if m[2] then redis.call('HDEL', m[2], member) end
if #ARGV > 13 then redis.call('HSET', KEYS[2], unpack(ARGV, 14)) end
local ends = tonumber(m[4])
if login then
  ends = now + tonumber(ARGV[10])
  redis.call('HSET', KEYS[2], '@a', int(ends), '@c', int(now), '@x', ARGV[9])
end
local index = login and ARGV[9] or m[2]
if index then register(index, ARGV[4], KEYS[2], ends, tonumber(ARGV[11]), ARGV[12]) end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], '@r', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
local version = redis.call('HINCRBY', KEYS[2], '@v', 1)
return { 'moved-now', version, now, renew(KEYS[2], m[3], ends), int(ends) }
`,
)

/** KEYS session, and the index where it is near. ARGV 4 index ('' = no user), 5 user, 6 most sessions, 7 epoch. */
export const ASSIGN = defineScript(
  'session-assign',
  `${RULES}${REGISTERS}
local m = redis.call('HMGET', KEYS[1], '@x', '@i', '@a')
if not m[2] or not m[3] or tonumber(m[3]) <= now or not listed(m[1]) then return { 'gone' } end
local far = ''
if m[1] and m[1] ~= ARGV[4] then
  if near(m[1]) then redis.call('HDEL', m[1], member) else far = m[1] end
end
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[1], '@x', '@u')
else
  if KEYS[2] then register(KEYS[2], member, KEYS[1], tonumber(m[3]), tonumber(ARGV[6]), ARGV[7]) end
  redis.call('HSET', KEYS[1], '@x', ARGV[4], '@u', ARGV[5])
end
return { 'assigned', far }
`,
)

/** KEYS session. ARGV 4 idle ms. */
export const RETIME = defineScript(
  'session-retime',
  `${RULES}
local m = redis.call('HMGET', KEYS[1], '@x', '@i', '@a')
if not m[2] or not m[3] or tonumber(m[3]) <= now or not listed(m[1]) then return 0 end
redis.call('HSET', KEYS[1], '@i', ARGV[4])
renew(KEYS[1], ARGV[4], m[3])
return 1
`,
)

/** KEYS index. For a session in another slot. ARGV 4 session key, 5 absolute ms from now, 6 most, 7 epoch, 8 mark. */
export const REGISTER = defineScript(
  'session-register',
  `${RULES}${REGISTERS}
if ARGV[8] ~= '' and redis.call('HGET', KEYS[1], '@e') ~= ARGV[8] then return 0 end
register(KEYS[1], member, ARGV[4], now + tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7])
return 1
`,
)

/** KEYS index. Every listed session that has not reached its absolute end: member, created, end, key. */
export const LISTED = defineScript(
  'session-listed',
  `${RULES}
local flat, out = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #flat, 2 do
  local created, till, key = string.match(flat[i + 1], '^(%d+) (%d+) (.+)$')
  if key and tonumber(till) > now then
    out[#out + 1] = { flat[i], created, till, key }
  end
end
return out
`,
)

/** KEYS session. When it ends, idle ms, note; nothing where it is gone. */
export const PEEK = defineScript(
  'session-peek',
  `${RULES}
local m = redis.call('HMGET', KEYS[1], '@i', '@m')
if not m[1] then return false end
return { int(now + redis.call('PTTL', KEYS[1])), m[1], m[2] or '' }
`,
)

/** KEYS index. ARGV 3 member to spare, 4 the only member to end, 5 new epoch. Returns members and keys. */
export const REVOKE = defineScript(
  'session-revoke',
  `${RULES}
local flat, ended, left = redis.call('HGETALL', KEYS[1]), {}, 0
if #flat == 0 then return ended end
for i = 1, #flat, 2 do
  local key = string.match(flat[i + 1], '^%d+ %d+ (.+)$')
  if flat[i] ~= '@e' and key then
    if flat[i] ~= member and (ARGV[4] == '' or ARGV[4] == flat[i]) then
      redis.call('HDEL', KEYS[1], flat[i])
      local alive = 1
      if near(key) then
        local removed = redis.pcall('UNLINK', key)
        alive = type(removed) == 'number' and removed or 1
      end
      ended[#ended + 1] = { flat[i], key, alive }
    else
      left = left + 1
    end
  end
end
if ARGV[4] == '' then
  redis.call('HSET', KEYS[1], '@e', ARGV[5])
  if left == 0 or redis.call('PTTL', KEYS[1]) < ${MARK_MS} then redis.call('PEXPIRE', KEYS[1], ${MARK_MS}) end
end
return ended
`,
)

/** KEYS index. ARGV 4 epoch for a new index. */
export const MARK = defineScript(
  'session-mark',
  `${RULES}
redis.call('HSETNX', KEYS[1], '@e', ARGV[4])
if redis.call('PTTL', KEYS[1]) < ${MARK_MS} then redis.call('PEXPIRE', KEYS[1], ${MARK_MS}) end
return redis.call('HGET', KEYS[1], '@e')
`,
)

/**
 * For lists: small, whatever the session holds. KEYS session. Replies nil for one that is gone or moved, else
 * { end, idle ms, created, index, user, names of fields }.
 */
export const LOOK = defineScript(
  'session-look',
  `${RULES}
local m = redis.call('HMGET', KEYS[1], '@r', '@x', '@i', '@a', '@c', '@u')
if m[1] or not m[3] or not m[4] or tonumber(m[4]) <= now then return false end
if m[2] and near(m[2]) and redis.call('HEXISTS', m[2], member) == 0 then return false end
local names = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(name, 1, 1) == '.' then names[#names + 1] = string.sub(name, 2) end
end
local till = now + math.max(0, redis.call('PTTL', KEYS[1]))
return { int(till), m[3], m[5] or int(now), m[2] or '', m[6] or '', names }
`,
)
