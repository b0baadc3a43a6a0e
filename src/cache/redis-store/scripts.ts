import { defineScript, LUA_NOW, luaDeadline } from '../../redis/script.ts'

/**
 * The server half of the leased-epoch protocol. Every script works on one bucket (one slot) and is
 * atomic. ARGV[1] is the incarnation that the sending connection proved, ARGV[2] a fresh unique
 * epoch. If the word is missing or was written under another incarnation (restart, failover,
 * eviction, FLUSHALL), the fresh epoch takes its place and everything older becomes a miss.
 *
 * Why Lua and not MULTI: each step reads before it decides. Why so small: a hit does not come here
 * at all (plain MGET, checked by the client), so these 10 to 15 µs of server time are paid only on
 * misses and writes.
 */
const WORD = `
local inc, fresh_epoch = ARGV[1], ARGV[2]
local E, s, p
do
  local v = redis.call('GET', KEYS[1])
  if v then
    local e_, s_, i_, p_ = string.match(v, '^([^:]+):(%d+):([^:]*):(%d+)$')
    if e_ and i_ == inc then E, s, p = e_, tonumber(s_), tonumber(p_) end
  end
end
local lost = not E
if lost then E, s, p = fresh_epoch, 0, 0 end
local function save_word()
  redis.call('SET', KEYS[1], E .. ':' .. s .. ':' .. inc .. ':' .. p)
end
-- hard and soft seq of a tag in this epoch; nil when missing or of another epoch
local function version(key)
  local v = redis.call('GET', key)
  if not v then return nil end
  local e_, h_, f_ = string.match(v, '^([^:]+):(%d+):(%d+)$')
  if e_ ~= E then return nil end
  return tonumber(h_), tonumber(f_)
end
-- a tag version must outlive every entry that names it: its life is only ever extended
local function outlive(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
`

/** Tag versions live at least this long, so that a slow load still finds those its lease made. */
const TAG_FLOOR_MS = 600_000

/**
 * Grants the right to fill, per request: KEYS e l f, then t f per tag; ARGV token, n, tag names.
 * Answers per request: F entry = somebody filled it · B stale = leased to another · X = fenced ·
 * R = the entry has tags unknown to the caller: read again · G epoch seq stale = granted ·
 * O error = refused by the server (out of memory).
 */
export const LEASE = defineScript(
  'cache.lease',
  `${LUA_NOW}${luaDeadline('ARGV[3]')}${WORD}
local lease_ms, force = tonumber(ARGV[4]), ARGV[5] == '1'
local out, k, a = {}, 1, 6
local function judge(e, given, n)
  local e_, s_, fresh_, stale_, tags = string.match(e, '^hf1 (%S+) (%d+) %d+ (%d+) (%d+) %S+ %S+ %S+ (%S*)\\n')
  if e_ ~= E then return 'bad' end
  local es, count, soft = tonumber(s_), 0, false
  for name in string.gmatch(tags, '[^,]+') do
    local v = given[name]
    if v == nil then return 'unknown' end
    if not v.hard or v.hard > es then return 'bad' end
    if v.soft > es then soft = true end
    count = count + 1
  end
  if count < n or tonumber(stale_) <= now then return 'bad' end
  if soft or tonumber(fresh_) <= now then return 'stale' end
  return 'fresh'
end
for i = 1, tonumber(ARGV[6]) do
  local ek, lk = KEYS[k + 1], KEYS[k + 2]
  local fenced = redis.call('EXISTS', KEYS[k + 3]) == 1
  local token, n = ARGV[a + 1], tonumber(ARGV[a + 2])
  k, a = k + 3, a + 2
  local given, list = {}, {}
  for j = 1, n do
    local h, f = version(KEYS[k + 1])
    local v = { key = KEYS[k + 1], hard = h, soft = f }
    if redis.call('EXISTS', KEYS[k + 2]) == 1 then fenced = true end
    given[ARGV[a + 1]] = v
    list[j] = v
    k, a = k + 2, a + 1
  end
  if fenced then
    out[i] = { 'X' }
  else
    local e = redis.call('GET', ek)
    local verdict = e and judge(e, given, n) or 'bad'
    if verdict == 'fresh' and not force then
      out[i] = { 'F', e }
    elseif verdict == 'unknown' and not force then
      out[i] = { 'R' }
    else
      local stale = verdict == 'stale' and e or false
      local busy = false
      local l = redis.call('GET', lk)
      if l then
        local le, ls = string.match(l, '^[^:]+:([^:]+):(%d+)$')
        if le == E and tonumber(ls) >= p then
          busy = true
          for j = 1, n do
            local v = list[j]
            if not v.hard or v.hard > tonumber(ls) or v.soft > tonumber(ls) then busy = false end
          end
        end
      end
      if busy then
        out[i] = { 'B', stale }
      else
        local ok = redis.pcall('SET', lk, token .. ':' .. E .. ':' .. s, 'PX', lease_ms)
        if type(ok) == 'table' and ok.err then
          out[i] = { 'O', ok.err }
        else
          if lost then save_word() lost = false end
          -- what no caller of these tags may see any more must not come back if the fill is refused
          if e and verdict == 'bad' then redis.call('DEL', ek) end
          for j = 1, n do
            local v = list[j]
            if v.hard then outlive(v.key, ${TAG_FLOOR_MS})
            else redis.call('SET', v.key, E .. ':' .. s .. ':0', 'PX', ${TAG_FLOOR_MS}) end
          end
          out[i] = { 'G', E, tostring(s), stale }
        end
      end
    end
  end
end
return out`,
)

/**
 * Stores a loaded value only if nothing moved since its lease was granted. Per request: KEYS e l f,
 * then t f per tag; ARGV token, epoch, seq, ttl, stale, rest of header, body, n.
 * Answers S seq now · X = refused · O error. The SET of the entry is the first write, so that a
 * server at maxmemory refuses it (a script that wrote before is let through).
 */
export const FILL = defineScript(
  'cache.fill',
  `${LUA_NOW}${WORD}
local out, k, a = {}, 1, 3
for i = 1, tonumber(ARGV[3]) do
  local ek, lk = KEYS[k + 1], KEYS[k + 2]
  local fenced = redis.call('EXISTS', KEYS[k + 3]) == 1
  local token, le, ls = ARGV[a + 1], ARGV[a + 2], tonumber(ARGV[a + 3])
  local ttl, grace = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local rest, body, n = ARGV[a + 6], ARGV[a + 7], tonumber(ARGV[a + 8])
  local held = redis.call('GET', lk) == token .. ':' .. le .. ':' .. ls
  local ok = held and le == E and ls >= p and not fenced
  local missing, present = {}, {}
  for j = 1, n do
    local tk, fk = KEYS[k + 3 + 2 * j - 1], KEYS[k + 3 + 2 * j]
    if ok then
      if redis.call('EXISTS', fk) == 1 then ok = false end
      local h, f = version(tk)
      if h then
        if h > ls or f > ls then ok = false end
        present[#present + 1] = tk
      else
        if s ~= ls then ok = false end
        missing[#missing + 1] = tk
      end
    end
  end
  if ok then
    local head = 'hf1 ' .. le .. ' ' .. ls .. ' ' .. now .. ' ' .. (now + ttl) .. ' ' .. (now + ttl + grace) .. ' '
    local done = redis.pcall('SET', ek, head .. rest .. body, 'PX', ttl + grace)
    if type(done) == 'table' and done.err then
      redis.call('DEL', lk)
      out[i] = { 'O', done.err }
    else
      local life = ttl + grace + 60000
      if life < ${TAG_FLOOR_MS} then life = ${TAG_FLOOR_MS} end
      for _, tk in ipairs(missing) do redis.call('SET', tk, E .. ':' .. ls .. ':0', 'PX', life) end
      for _, tk in ipairs(present) do outlive(tk, life) end
      redis.call('DEL', lk)
      out[i] = { 'S', tostring(s), tostring(now) }
    end
  else
    if held then redis.call('DEL', lk) end
    out[i] = { 'X' }
  end
  k, a = k + 3 + 2 * n, a + 8
end
return out`,
)

/** Who must confirm an invalidation: born, then the processes heard of lately. Expects KEYS[2] = m. */
const MEMBERS = `
local function members(silent_ms)
  redis.call('HSETNX', KEYS[2], 'b', now)
  redis.call('PEXPIRE', KEYS[2], 86400000)
  local all, born, live = redis.call('HGETALL', KEYS[2]), now, {}
  for i = 1, #all, 2 do
    if all[i] == 'b' then born = tonumber(all[i + 1])
    elseif tonumber(all[i + 1]) < now - silent_ms then redis.call('HDEL', KEYS[2], all[i])
    else live[#live + 1] = all[i] end
  end
  return born, live
end
local function acknowledged(silent_ms)
  local born, live = members(silent_ms)
  local reply = { E, tostring(s), tostring(now), tostring(born) }
  for _, id in ipairs(live) do reply[#reply + 1] = id end
  return reply
end
`

/**
 * Invalidates. ARGV: 3 channel, 4 message, 5 silent ms, 6 mode, 7 keys, 8 tags, 9 fence token,
 * 10 fence ms. KEYS: w m, then e l f per key, then t f per tag.
 * Modes: hard · soft (values stay as stale) · clear (new epoch) · pattern (voids running leases;
 * the matching keys follow as hard ones) · fence · lift.
 * The first write is an HDEL: allowed at maxmemory, and it lets the SET of the word pass too.
 */
export const INVALIDATE = defineScript(
  'cache.invalidate',
  `${LUA_NOW}${WORD}${MEMBERS}
local mode, nkeys, ntags, token = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
redis.call('HDEL', KEYS[2], '_')
if mode == 'clear' then E, s, p = fresh_epoch, 0, 0 else s = s + 1 end
if mode == 'pattern' then p = s end
local function fence(key)
  if token == '' then return end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) < now then redis.call('HDEL', key, all[i]) end
  end
  if mode == 'fence' then
    redis.call('HSET', key, token, now + tonumber(ARGV[10]))
    outlive(key, tonumber(ARGV[10]))
  else
    redis.call('HDEL', key, token)
  end
end
local k = 2
for _ = 1, nkeys do
  local ek, lk = KEYS[k + 1], KEYS[k + 2]
  redis.call('DEL', lk)
  if mode == 'soft' then
    local e = redis.call('GET', ek)
    if e then
      local head, tail = string.match(e, '^(hf1 %S+ %S+ %S+) %S+( .*)$')
      if head then redis.call('SET', ek, head .. ' 0' .. tail, 'KEEPTTL') end
    end
  else
    redis.call('DEL', ek)
  end
  fence(KEYS[k + 3])
  k = k + 3
end
for _ = 1, ntags do
  local tk = KEYS[k + 1]
  if mode == 'soft' then
    local h = version(tk)
    if h then redis.call('SET', tk, E .. ':' .. h .. ':' .. s, 'KEEPTTL') end
  else
    redis.call('DEL', tk)
  end
  fence(KEYS[k + 2])
  k = k + 2
end
save_word()
redis.call('PUBLISH', ARGV[3], E .. ':' .. s .. ':' .. ARGV[4])
return acknowledged(tonumber(ARGV[5]))`,
)

/**
 * Invalidate and store in one step. ARGV: 3 deadline, 4 channel, 5 message, 6 silent ms, 7 mark
 * epoch, 8 mark seq, 9 n; per write: ttl, stale, rest, body, n tags. KEYS: w m, then e l f, t f….
 * With a mark, a write is refused when the key or one of its tags was touched since: an entry
 * younger than the mark, a newer tag version, or none (or a softened entry) while anything at all
 * moved (then nobody can tell). Refused or out of memory: the
 * key is invalidated all the same.
 */
export const SET = defineScript(
  'cache.set',
  `${LUA_NOW}${luaDeadline('ARGV[3]')}${WORD}${MEMBERS}
local mark_e, mark_s = ARGV[7], tonumber(ARGV[8])
local before = s
s = s + 1
local verdicts, k, a = {}, 2, 9
for i = 1, tonumber(ARGV[9]) do
  local ek, lk = KEYS[k + 1], KEYS[k + 2]
  local ttl, grace = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local rest, body, n = ARGV[a + 3], ARGV[a + 4], tonumber(ARGV[a + 5])
  local ok = redis.call('EXISTS', KEYS[k + 3]) == 0
  for j = 1, n do
    if redis.call('EXISTS', KEYS[k + 3 + 2 * j]) == 1 then ok = false end
  end
  if ok and mark_e ~= '' then
    local seen = redis.call('GET', ek)
    local e_, s_, fresh_ = nil, nil, nil
    if seen then e_, s_, fresh_ = string.match(seen, '^hf1 (%S+) (%d+) %S+ (%S+) ') end
    if mark_e ~= E then ok = false
    elseif e_ == E and fresh_ ~= '0' then ok = tonumber(s_) <= mark_s
    else ok = before == mark_s end
    for j = 1, n do
      local h, f = version(KEYS[k + 3 + 2 * j - 1])
      if h then
        if h > mark_s or f > mark_s then ok = false end
      elseif before ~= mark_s then ok = false end
    end
  end
  local verdict = 'X'
  if ok then
    local head = 'hf1 ' .. E .. ' ' .. s .. ' ' .. now .. ' ' .. (now + ttl) .. ' ' .. (now + ttl + grace) .. ' '
    local done = redis.pcall('SET', ek, head .. rest .. body, 'PX', ttl + grace)
    if type(done) == 'table' and done.err then verdict = 'O'
    else
      verdict = 'S'
      local life = ttl + grace + 60000
      if life < ${TAG_FLOOR_MS} then life = ${TAG_FLOOR_MS} end
      for j = 1, n do
        local tk = KEYS[k + 3 + 2 * j - 1]
        if version(tk) then outlive(tk, life)
        else redis.call('SET', tk, E .. ':' .. s .. ':0', 'PX', life) end
      end
    end
  end
  if verdict ~= 'S' then redis.call('DEL', ek) end
  redis.call('DEL', lk)
  verdicts[i] = verdict
  k, a = k + 3 + 2 * n, a + 5
end
redis.call('HDEL', KEYS[2], '_')
save_word()
redis.call('PUBLISH', ARGV[4], E .. ':' .. s .. ':' .. ARGV[5])
return { verdicts, acknowledged(tonumber(ARGV[6])) }`,
)

/** Registers this process as a holder of copies. ARGV: 3 process, 4 silent ms. */
export const HEARTBEAT = defineScript(
  'cache.heartbeat',
  `${LUA_NOW}${WORD}${MEMBERS}
redis.call('HDEL', KEYS[2], '_')
if lost then save_word() end
redis.call('HSET', KEYS[2], ARGV[3], now)
local born = members(tonumber(ARGV[4]))
return { E, tostring(s), tostring(now), tostring(born) }`,
)

/** Where the bucket's history stands now: for a write-through that begins here. */
export const MARK = defineScript(
  'cache.mark',
  `${WORD}
if lost then save_word() end
return { E, tostring(s) }`,
)

/** Keeps a lease alive (ms > 0) or gives it back (ms = 0), only if it is still ours. KEYS l. */
export const HOLD = defineScript(
  'cache.hold',
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) == 0 then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
)

/**
 * Gives a present entry another life. KEYS w e t…; ARGV: 3 deadline, 4 ttl, 5 stale, 6 channel,
 * 7 message. Counts as a step in the bucket's history, so that local copies with the old life go.
 */
export const TOUCH = defineScript(
  'cache.touch',
  `${LUA_NOW}${luaDeadline('ARGV[3]')}${WORD}
local e = redis.call('GET', KEYS[2])
if not e then return false end
local head, epoch, tail = string.match(e, '^(hf1 (%S+) %S+ %S+) %S+ %S+( .*)$')
if epoch ~= E then return false end
local ttl, life = tonumber(ARGV[4]), tonumber(ARGV[4]) + tonumber(ARGV[5])
redis.call('SET', KEYS[2], head .. ' ' .. (now + ttl) .. ' ' .. (now + life) .. tail, 'PX', life)
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then outlive(KEYS[i], life + 60000) end
end
s = s + 1
save_word()
redis.call('PUBLISH', ARGV[6], E .. ':' .. s .. ':' .. ARGV[7])
return { E, tostring(s) }`,
)
