import { defineScript, LUA_NOW, luaDeadline } from '../redis/script.ts'
import { COUNTING } from './counting-lua.ts'

/**
 * All checks of one tick in one call. Trade-offs:
 * - The state of a subject is one string, read for the whole batch by one MGET and written by one
 *   SET with PX, instead of a hash (HMGET, HSET, PEXPIRE for each check): a third of the server's
 *   time. Nothing is ever stored without a life. `peek()` and `holdfast get` show it in words.
 * - A window is a row of fixed-width entries (sub-window, count), so a check looks at the expired
 *   front and at the last entry only, however long the row is.
 * - `gcra` counts in units of limit x window, where every number is whole: no drift at any rate, and
 *   a changed plan keeps what was used.
 * - The last hit's time is kept as well: one window after it all are gone, so a state never lives
 *   longer than its window, and no answer says "wait" for longer.
 *
 * KEYS: state of each subject, each once, one slot.
 * ARGV: 1 deadline in server ms; 2 policies `[[layout, kind, limit, window, capacity or sub, offset, …], …]`;
 * 3 operations, flat: verb, cost, at, number of parts, then key and policy index (from 1) of each;
 * 4 channel on which relief is told.
 * Reply: doubles, little-endian: now in µs, then per operation its status (0 allowed, 1 refused,
 * 2 blocked), and per limit: remaining, wait (-1 - wait where refused), reset.
 */
const LUA = `${LUA_NOW}${luaDeadline('ARGV[1]')}
local floor, max, min, ceil = math.floor, math.max, math.min, math.ceil
local pack, unpack_, sub_ = struct.pack, struct.unpack, string.sub
local never = math.huge
local policies, ops = cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local raw = redis.call('MGET', unpack(KEYS))
local states, lives, dirty, keep = {}, {}, {}, {}

local function load(k)
  local s = states[k]
  if s then return s end
  if raw[k] then
    local ok, t = pcall(cmsgpack.unpack, raw[k])
    if ok and type(t) == 'table' and type(t[1]) == 'string' and type(t[2]) == 'number' then s = t end
  end
  s = s or { '', 0 }
  states[k] = s
  return s
end

-- Where each limit of the policy keeps its section; nil = right after the head, in order.
local function places(k, s, policy)
  local layout = policy[1]
  if s[1] == layout then return nil end
  if s[1] == '' then
    s[1] = layout
    for i = 1, (#policy - 1) / 5 do s[2 + i] = '' end
    return nil
  end
  -- Another plan: what it counted stays, for it may come back.
  if not keep[k] then keep[k] = max(0, redis.call('PTTL', KEYS[k])) * 1000 end
  local at, n = {}, 2
  for id in string.gmatch(s[1], '[^,]+') do n = n + 1; at[id] = n end
  local found, more = {}, s[1]
  for id in string.gmatch(layout, '[^,]+') do
    if not at[id] then n = n + 1; at[id] = n; s[n] = ''; more = more .. ',' .. id end
    found[#found + 1] = at[id]
  end
  s[1] = more
  return found
end

${COUNTING}
local kinds = { window, gcra, fixed }
local out, o = { pack('<d', now_us) }, 1
local relieved = {}
local p, size = 1, #ops
while p <= size do
  local verb, cost, at, parts = ops[p], ops[p + 1], ops[p + 2], ops[p + 3]
  local first = p + 4
  p = first + parts * 2
  local status = 0
  if verb >= 5 then
    for q = first, p - 1, 2 do
      local k = ops[q]
      local s = load(k)
      relieved[k] = true
      dirty[k] = true
      if verb == 6 then
        states[k] = { '', 0 }
        lives[k] = 0
        keep[k] = nil
      else
        if not keep[k] then keep[k] = max(0, redis.call('PTTL', KEYS[k])) * 1000 end
        if cost > 0 then
          s[2] = now_us + cost * 1000
          keep[k] = max(keep[k], cost * 1000)
        else
          s[2] = 0
        end
      end
    end
  end
  -- Looks first; takes only if every limit of every part admits it.
  local mode = verb
  if verb >= 5 then mode, cost = 2, 1 end
  local slots, news, spans, replies, n = {}, {}, {}, {}, 0
  for q = first, p - 1, 2 do
    local k, policy = ops[q], policies[ops[q + 1]]
    local s = load(k)
    local where = places(k, s, policy)
    if s[2] > now_us and mode <= 2 then status = 2 end
    for i = 1, (#policy - 1) / 5 do
      local b = i * 5 - 3
      local place = where and where[i] or 2 + i
      local ok, remaining, wait, reset, new, span =
        kinds[policy[b]](s[place], mode, cost, at, policy[b + 1], policy[b + 2], policy[b + 3], policy[b + 4])
      if not ok then
        if status == 0 then status = 1 end
        wait = -1 - wait
      end
      if s[2] > now_us then
        local blocked = s[2] - now_us
        local own = ok and 0 or -1 - wait
        if mode <= 2 then wait = -1 - max(own, blocked) end
        reset = max(reset, blocked)
      end
      n = n + 1
      slots[n], news[n], spans[n] = place, new, span
      replies[n * 3 - 2], replies[n * 3 - 1], replies[n * 3] = remaining, wait, reset
    end
  end
  if status == 0 and mode ~= 2 then
    n = 0
    for q = first, p - 1, 2 do
      local k = ops[q]
      local s = states[k]
      local life = s[2] > now_us and s[2] - now_us or 0
      for _ = 1, (#policies[ops[q + 1]] - 1) / 5 do
        n = n + 1
        s[slots[n]] = news[n]
        if spans[n] > life then life = spans[n] end
      end
      lives[k] = max(lives[k] or 0, life)
      dirty[k] = true
      if verb == 3 then relieved[k] = true end
    end
  elseif status ~= 0 then
    -- What was taken earlier in a refused decision is reported as if it had not been.
    n = 0
    for q = first, p - 1, 2 do
      local policy = policies[ops[q + 1]]
      local s = states[ops[q]]
      for i = 1, (#policy - 1) / 5 do
        n = n + 1
        if news[n] then
          local b = i * 5 - 3
          local ok, remaining, wait, reset = kinds[policy[b]](
            s[slots[n]], 2, cost, at, policy[b + 1], policy[b + 2], policy[b + 3], policy[b + 4])
          replies[n * 3 - 2], replies[n * 3] = remaining, max(reset, s[2] - now_us)
          if replies[n * 3 - 1] >= 0 then replies[n * 3 - 1] = wait end
        end
      end
      -- A state without a life would refuse for ever; only a stranger can have made it so.
      if raw[ops[q]] and not dirty[ops[q]] and redis.call('PTTL', KEYS[ops[q]]) == -1 then
        keep[ops[q]] = 1000
        for i = 1, (#policy - 1) / 5 do keep[ops[q]] = max(keep[ops[q]], policy[i * 5 - 1]) end
        dirty[ops[q]] = true
      end
    end
  end
  o = o + 1
  out[o] = pack('<d', status)
  for i = 1, n * 3, 3 do
    o = o + 1
    out[o] = pack('<ddd', replies[i], replies[i + 1], replies[i + 2])
  end
end

for k in pairs(dirty) do
  local life = min(ceil(max(lives[k] or 0, keep[k] or 0) / 1000), 315360000000)
  if life < 1 then
    redis.call('DEL', KEYS[k])
  else
    redis.call('SET', KEYS[k], cmsgpack.pack(states[k]), 'PX', life)
  end
end
for k in pairs(relieved) do redis.call('PUBLISH', ARGV[4], KEYS[k]) end
return table.concat(out)
`

export const CHECK = defineScript('limit.check', LUA)
