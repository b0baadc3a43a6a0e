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
 * - struct, not cmsgpack or cjson, wherever it is done per check: exact-size tables, no growth.
 * - Limits that a call does not name keep their section: plans may change back.
 *
 * KEYS: state of each subject, each once, one slot.
 * ARGV: 1 deadline in server ms; 2 policies `[[layout, kind, limit, window, capacity or sub, offset, …], …]`;
 * 3 operations as doubles: verb, cost, at, number of parts, then key and policy index (from 1) of each;
 * 4 channel on which relief is told.
 * Reply: doubles, little-endian: now in µs, then per operation its status (0 allowed, 1 refused,
 * 2 blocked), and per limit: remaining, wait (-1 - wait where refused), reset.
 */
const LUA = `${LUA_NOW}${luaDeadline('ARGV[1]')}
local floor, max, min, ceil = math.floor, math.max, math.min, math.ceil
local pack, unpack_, sub = struct.pack, struct.unpack, string.sub
local never, longest = math.huge, 315360000000
${COUNTING}
local policies, ops = cjson.decode(ARGV[2]), ARGV[3]
local raw = redis.call('MGET', unpack(KEYS))
local states, shapes, dirty, keep, lives, relieved = {}, {}, {}, {}, {}, {}
local CONSUME, PEEK, REFUND, PENALTY, BLOCK = 1, 2, 3, 4, 5

-- How a state of this layout is stored: the layout, block and numbers, then the pairs of its windows.
local known = {}
local function shape_of(layout)
  local shape = known[layout]
  if shape then return shape end
  shape = { head = layout .. ';', from = #layout + 2, at = {}, windows = {}, zero = { 0 } }
  local size = 1
  for id in string.gmatch(layout, '[^,]+') do
    local kind = letters[sub(id, 1, 1)]
    shape.at[id] = size + 1
    for i = 1, kind.width do shape.zero[size + i] = 0 end
    size = size + kind.width
    if kind == window then
      shape.zero[size] = ''
      shape.windows[#shape.windows + 1] = size
    end
  end
  shape.size, shape.format, shape.layout = size, '<' .. string.rep('d', size), layout
  known[layout] = shape
  return shape
end

for _, policy in ipairs(policies) do
  policy.count = (#policy - 1) / 5
  policy.shape = shape_of(policy[1])
  policy.at = {}
  for id in string.gmatch(policy[1], '[^,]+') do policy.at[#policy.at + 1] = policy.shape.at[id] end
end

local function read(k, shape)
  local blob = raw[k]
  if not blob then return nil end
  if sub(blob, 1, shape.from - 1) ~= shape.head then
    local layout = string.match(blob, '^([a-z0-9,]+);')
    if not layout then return nil end
    shape = shape_of(layout)
  end
  if #blob < shape.from - 1 + shape.size * 8 then return nil end
  local s = { unpack_(shape.format, blob, shape.from) }
  local from = s[shape.size + 1]
  for _, p in ipairs(shape.windows) do
    local to = from + s[p] * 8
    if to > #blob + 1 then return nil end
    s[p] = sub(blob, from, to - 1)
    from = to
  end
  return s, shape
end

local function load(k, shape)
  local s, stored = read(k, shape)
  states[k], shapes[k] = s or { unpack(shape.zero) }, stored or shape
  return states[k]
end

local function remember_life(k)
  if not keep[k] then keep[k] = max(0, redis.call('PTTL', KEYS[k])) end
end

-- Where each limit of the policy has its numbers.
local function places(k, s, policy)
  local shape = shapes[k]
  if shape == policy.shape then return policy.at end
  remember_life(k)
  local layout = shape.layout
  for id in string.gmatch(policy[1], '[^,]+') do
    if not shape.at[id] then layout = layout .. ',' .. id end
  end
  local wider = shape_of(layout)
  for i = shape.size + 1, wider.size do s[i] = wider.zero[i] end
  shapes[k] = wider
  local at = {}
  for id in string.gmatch(policy[1], '[^,]+') do at[#at + 1] = wider.at[id] end
  return at
end

local out, o = { now_us }, 1
local refused = {}
local p, size = 1, #ops
while p <= size do
  local verb, cost, at, parts = unpack_('<dddd', ops, p)
  local first, status, n = p + 32, 0, 0
  p = first + parts * 16
  if verb >= BLOCK then
    for q = first, p - 1, 16 do
      local k, index = unpack_('<dd', ops, q)
      local shape = policies[index].shape
      dirty[k], relieved[k] = true, true
      if verb == BLOCK then
        local s = states[k] or load(k, shape)
        remember_life(k)
        s[1] = cost > 0 and max(at > 0 and s[1] or 0, now_us + cost * 1000) or 0
        keep[k] = max(keep[k], cost)
      else
        states[k], shapes[k], keep[k], lives[k] = { unpack(shape.zero) }, shape, nil, nil
      end
    end
    verb, cost = PEEK, 1
  end
  -- Looks first; takes only if every limit of every part admits it.
  for q = first, p - 1, 16 do
    local k, index = unpack_('<dd', ops, q)
    local policy = policies[index]
    local s = states[k] or load(k, policy.shape)
    local where = places(k, s, policy)
    if verb <= PEEK and s[1] > now_us then status = 2 end
    for i = 1, policy.count do
      local b = i * 5 - 3
      local kind, place = kinds[policy[b]], where[i]
      n = n + 1
      if verb <= PEEK then
        local ok, wait =
          kind.fits(s, place, cost, policy[b + 1], policy[b + 2], policy[b + 3], policy[b + 4])
        refused[n] = not ok and wait
        if not ok and status == 0 then status = 1 end
      else
        kind.settle(s, place, policy[b + 1], policy[b + 2], policy[b + 3], policy[b + 4])
      end
    end
  end
  o = o + 1
  out[o] = status
  n = 0
  for q = first, p - 1, 16 do
    local k, index = unpack_('<dd', ops, q)
    local policy = policies[index]
    local s = states[k]
    local where = places(k, s, policy)
    local blocked = s[1] > now_us and s[1] - now_us or 0
    local life = 0
    for i = 1, policy.count do
      local b = i * 5 - 3
      local kind, place = kinds[policy[b]], where[i]
      local remaining, wait, reset
      if status == 0 and (verb == CONSUME or verb == PENALTY) then
        remaining, wait, reset = kind.take(s, place, cost, policy[b + 1], policy[b + 2], policy[b + 3])
      else
        if status == 0 and verb == REFUND then
          kind.give(s, place, cost, at, policy[b + 1], policy[b + 2], policy[b + 3])
        end
        remaining, wait, reset = kind.show(s, place, policy[b + 1], policy[b + 2], policy[b + 3])
      end
      n = n + 1
      if blocked > 0 and verb <= PEEK then
        reset = max(reset, blocked)
        wait = -1 - max(refused[n] or 0, blocked)
      elseif status ~= 0 and refused[n] then
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

local spelt = {}
for k in pairs(dirty) do
  local s = states[k]
  local life = max(s[1] - now_us, lives[k] or 0)
  life = min(longest, max(ceil(life / 1000), keep[k] or 0))
  if life < 1 then
    redis.call('DEL', KEYS[k])
  else
    local shape, pairs_ = shapes[k], ''
    for _, p in ipairs(shape.windows) do
      local rest = s[p]
      s[p] = #rest / 8
      if rest ~= '' then pairs_ = pairs_ .. rest end
    end
    local words = spelt[life]
    if not words then
      words = string.format('%d', life)
      spelt[life] = words
    end
    redis.call('SET', KEYS[k], shape.head .. pack(shape.format, unpack(s, 1, shape.size)) .. pairs_, 'PX', words)
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
