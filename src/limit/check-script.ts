import { defineScript, LUA_NOW, luaDeadline } from '../redis/script.ts'
import { COUNTING } from './counting-lua.ts'

/**
 * All checks of one tick in one call. Trade-offs:
 * - The state of a subject is one string, read for the whole batch by one MGET and written by one
 *   SET with PX, instead of a hash (HMGET, HSET, PEXPIRE for each check): a third of the server's
 *   time. Nothing is ever stored without a life. `peek()` shows it in words.
 * - `gcra` counts in units of limit x window, where every number is whole: no drift at any rate, and
 *   a changed plan keeps what was used.
 * - The last hit's time is kept beside the sub-windows: one window after it all are gone, so a state
 *   never lives longer than its window, and no answer says "wait" for longer.
 * - Limits that a call does not name keep their section: plans may change back.
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
local pack, unpack_ = struct.pack, struct.unpack
local never, longest = math.huge, 315360000000
${COUNTING}
local policies, ops = cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local raw = redis.call('MGET', unpack(KEYS))
local states, dirty, keep, lives, relieved = {}, {}, {}, {}, {}
local CONSUME, PEEK, REFUND, PENALTY, BLOCK = 1, 2, 3, 4, 5

for _, policy in ipairs(policies) do
  policy.count = (#policy - 1) / 5
  policy.at = {}
  local at = 3
  for i = 1, policy.count do
    policy.at[i] = at
    at = at + kinds[policy[i * 5 - 3]].width
  end
  policy.size = at - 1
end

local function load(k)
  local s
  if raw[k] then
    local ok, t = pcall(cmsgpack.unpack, raw[k])
    if ok and type(t) == 'table' and type(t[1]) == 'string' and type(t[2]) == 'number' then s = t end
  end
  s = s or { '', 0 }
  states[k] = s
  return s
end

local function remember_life(k)
  if not keep[k] then keep[k] = max(0, redis.call('PTTL', KEYS[k])) end
end

local function clear(s, from, letter)
  for i = from, from + widths[letter] - 1 do s[i] = 0 end
  if widths[letter] == 6 then s[from + 5] = '' end
end

-- Where each limit of the policy has its numbers.
local function places(k, s, policy)
  local layout = policy[1]
  if s[1] == layout then return policy.at end
  local known, at = {}, 3
  for id in string.gmatch(s[1], '[^,]+') do
    known[id] = at
    at = at + widths[string.sub(id, 1, 1)]
  end
  if at > 3 then remember_life(k) end
  local found, more = {}, s[1]
  for id in string.gmatch(layout, '[^,]+') do
    local p = known[id]
    if not p then
      p = at
      clear(s, p, string.sub(id, 1, 1))
      more = (more == '' and '' or more .. ',') .. id
      at = at + widths[string.sub(id, 1, 1)]
    end
    found[#found + 1] = p
  end
  s[1] = more
  return found
end

local out, o = { now_us }, 1
local refused = {}
local p, size = 1, #ops
while p <= size do
  local verb, cost, at, parts = ops[p], ops[p + 1], ops[p + 2], ops[p + 3]
  local first, status, n = p + 4, 0, 0
  p = first + parts * 2
  if verb >= BLOCK then
    for q = first, p - 1, 2 do
      local k = ops[q]
      dirty[k], relieved[k] = true, true
      if verb == BLOCK then
        local s = states[k] or load(k)
        remember_life(k)
        s[2] = cost > 0 and now_us + cost * 1000 or 0
        keep[k] = max(keep[k], cost)
      else
        states[k], keep[k], lives[k] = { '', 0 }, nil, nil
      end
    end
    verb, cost = PEEK, 1
  end
  -- Looks first; takes only if every limit of every part admits it.
  for q = first, p - 1, 2 do
    local k, policy = ops[q], policies[ops[q + 1]]
    local s = states[k] or load(k)
    local where = places(k, s, policy)
    if verb <= PEEK and s[2] > now_us then status = 2 end
    for i = 1, policy.count do
      local b = i * 5 - 3
      local kind, place = kinds[policy[b]], where[i]
      n = n + 1
      refused[n] = false
      kind.settle(s, place, policy[b + 1], policy[b + 2], policy[b + 3], policy[b + 4])
      if verb <= PEEK then
        local ok, wait = kind.room(s, place, cost, policy[b + 1], policy[b + 2], policy[b + 3])
        if not ok then
          refused[n] = wait
          if status == 0 then status = 1 end
        end
      end
    end
  end
  o = o + 1
  out[o] = status
  n = 0
  for q = first, p - 1, 2 do
    local k, policy = ops[q], policies[ops[q + 1]]
    local s = states[k]
    local where = places(k, s, policy)
    local blocked = s[2] > now_us and s[2] - now_us or 0
    local life = 0
    for i = 1, policy.count do
      local b = i * 5 - 3
      local kind, place = kinds[policy[b]], where[i]
      if status == 0 and verb ~= PEEK then
        if verb == REFUND then
          kind.give(s, place, cost, at, policy[b + 1], policy[b + 2], policy[b + 3])
        else
          kind.take(s, place, cost, policy[b + 1], policy[b + 2], policy[b + 3])
        end
      end
      local remaining, wait, reset = kind.show(s, place, policy[b + 1], policy[b + 2], policy[b + 3])
      n = n + 1
      if blocked > 0 then
        reset = max(reset, blocked)
        if verb <= PEEK then wait = -1 - max(refused[n] or 0, blocked) end
      elseif refused[n] then
        wait = -1 - refused[n]
      end
      if reset > life then life = reset end
      out[o + 1], out[o + 2], out[o + 3] = remaining, wait, reset
      o = o + 3
    end
    if status == 0 and verb ~= PEEK then
      dirty[k] = true
      if verb == REFUND then relieved[k] = true end
    elseif status ~= 0 and raw[k] and not dirty[k] and redis.call('PTTL', KEYS[k]) == -1 then
      -- A state without a life would refuse for ever; only a stranger can have made it so.
      dirty[k] = true
    end
    if dirty[k] and life > (lives[k] or 0) then lives[k] = life end
  end
end

for k in pairs(dirty) do
  local s = states[k]
  local life = max(s[2] - now_us, lives[k] or 0)
  life = min(longest, max(ceil(life / 1000), keep[k] or 0))
  if life < 1 then
    redis.call('DEL', KEYS[k])
  else
    redis.call('SET', KEYS[k], cmsgpack.pack(s), 'PX', life)
  end
end
for k in pairs(relieved) do redis.call('PUBLISH', ARGV[4], KEYS[k]) end

local text, format = {}, '<' .. string.rep('d', 100)
for from = 1, o, 100 do
  local to = min(from + 99, o)
  if to - from < 99 then format = '<' .. string.rep('d', to - from + 1) end
  text[#text + 1] = pack(format, unpack(out, from, to))
end
return table.concat(text)
`

export const CHECK = defineScript('limit.check', LUA)
