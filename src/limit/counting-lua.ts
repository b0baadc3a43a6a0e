/**
 * The three ways of counting, in Lua; `arithmetic.ts` is the same in TypeScript. Expects `now_us`,
 * `floor`, `max`, `min`, `ceil`, `pack`, `unpack_`, `sub` and `never`. All times in whole microseconds.
 *
 * A limit keeps plain numbers in the state `s`, from index `p` on:
 * window (6): total, time of the last hit, oldest sub-window, newest sub-window and its count, and
 *   the (sub-window, count) pairs before the newest, packed. A hit in the sub-window of the one
 *   before, the usual case under load, changes numbers only.
 * gcra (2): time, debt as of then, in units x window.
 * fixed (2): start of the window, units used.
 *
 * settle: drops what time has undone; harmless when the state is then not stored.
 * fits: settles, and whether `cost` fits, else µs until it does. take, give: change the state.
 * show: remaining, µs until the next unit, µs until as good as new. take answers like show.
 * Fewer, larger functions than would be pretty: a call costs as much as the arithmetic in it.
 */
export const COUNTING = `
local function empty(s, p)
  s[p], s[p + 1], s[p + 2], s[p + 3], s[p + 4], s[p + 5] = 0, 0, 0, 0, 0, ''
end

local window = { width = 6 }
-- Eight bytes a pair. Sub-windows are kept modulo a base, for none is older than a window.
local function pair(span)
  if span == 1 then return '<I6I2', 281474976710656, 65535 end
  return '<I2I6', 65536, 281474976710655
end
function window.settle(s, p, limit, length, span)
  if s[p] == 0 then return end
  local horizon = now_us - length + 1
  if s[p + 1] < horizon then return empty(s, p) end
  if (s[p + 2] + 1) * span > horizon then return end
  local rest, from, size, newest = s[p + 5], 1, #s[p + 5], s[p + 3]
  local format, base = pair(span)
  s[p + 2] = newest
  while from <= size do
    local i, n = unpack_(format, rest, from)
    i = newest - (newest - i) % base
    if (i + 1) * span > horizon then
      s[p + 2] = i
      break
    end
    s[p] = s[p] - n
    from = from + 8
  end
  s[p + 5] = sub(rest, from)
end
function window.fits(s, p, cost, limit, length, span)
  if s[p] > 0 and (s[p + 1] <= now_us - length or (s[p + 2] + 1) * span <= now_us - length + 1) then
    window.settle(s, p, limit, length, span)
  end
  local over = s[p] + cost - limit
  if over <= 0 then return true end
  if cost > limit then return false, never end
  local rest, last = s[p + 5], s[p + 1] + length - now_us
  local newest, format, base = s[p + 3], pair(span)
  for from = 1, #rest, 8 do
    local i, n = unpack_(format, rest, from)
    i = newest - (newest - i) % base
    over = over - n
    if over <= 0 then return false, min((i + 1) * span - 1 + length - now_us, last) end
  end
  return false, last
end
function window.take(s, p, cost, limit, length, span)
  local index = floor(now_us / span)
  if s[p] == 0 then
    s[p + 2], s[p + 3], s[p + 4], s[p + 5] = index, index, cost, ''
  elseif s[p + 3] >= index then -- or the clock stepped back
    s[p + 4] = s[p + 4] + cost
  else
    local format, base, most = pair(span)
    local n = s[p + 4]
    if n > most then
      s[p], n = s[p] - (n - most), most
    end
    s[p + 5] = s[p + 5] .. pack(format, s[p + 3] % base, n)
    s[p + 3], s[p + 4] = index, cost
  end
  local total, last = s[p] + cost, s[p + 1]
  s[p] = total
  if last < now_us then
    last = now_us
    s[p + 1] = last
  end
  local reset = last + length - now_us
  local wait = (s[p + 2] + 1) * span - 1 + length - now_us
  return total < limit and limit - total or 0, wait < reset and wait or reset, reset
end
-- From the old end: what stays counted is never older than what was really used.
function window.give(s, p, cost, at, limit, length, span)
  if at > 0 and at <= now_us - length then return end
  local left = min(cost, s[p])
  s[p] = s[p] - left
  if s[p] == 0 then return empty(s, p) end
  local rest, from, newest = s[p + 5], 1, s[p + 3]
  local format, base = pair(span)
  s[p + 2] = newest
  while from <= #rest do
    local i, n = unpack_(format, rest, from)
    if n > left then
      rest = sub(rest, 1, from - 1) .. pack(format, i, n - left) .. sub(rest, from + 8)
      left = 0
      s[p + 2] = newest - (newest - i) % base
      break
    end
    left = left - n
    from = from + 8
  end
  s[p + 4] = s[p + 4] - left
  s[p + 5] = sub(rest, from)
end
function window.show(s, p, limit, length, span)
  local total = s[p]
  if total == 0 then return limit, 0, 0 end
  local reset = s[p + 1] + length - now_us
  return max(0, limit - total), min((s[p + 2] + 1) * span - 1 + length - now_us, reset), reset
end

local gcra = { width = 2 }
function gcra.settle(s, p, limit)
  if s[p] > now_us then return end -- the clock stepped back
  s[p + 1] = max(0, s[p + 1] - (now_us - s[p]) * limit)
  s[p] = now_us
end
function gcra.fits(s, p, cost, limit, length, capacity)
  local t = s[p]
  if t < now_us then
    local debt = s[p + 1] - (now_us - t) * limit
    s[p], s[p + 1] = now_us, debt > 0 and debt or 0
  end
  local over = s[p + 1] + (cost - capacity) * length
  if over <= 0 then return true end
  if cost > capacity then return false, never end
  return false, ceil(over / limit) + s[p] - now_us
end
function gcra.give(s, p, cost, at, limit, length) s[p + 1] = max(0, s[p + 1] - cost * length) end
function gcra.show(s, p, limit, length, capacity)
  local debt = s[p + 1]
  if debt == 0 then return capacity, 0, 0 end
  if limit == 0 then return 0, never, never end
  local over, ahead = debt % length, s[p] - now_us
  if over == 0 then over = length end
  return max(0, floor((capacity * length - debt) / length)), ceil(over / limit) + ahead, ceil(debt / limit) + ahead
end

function gcra.take(s, p, cost, limit, length, capacity)
  s[p + 1] = s[p + 1] + cost * length
  return gcra.show(s, p, limit, length, capacity)
end

local fixed = { width = 2 }
function fixed.settle(s, p, limit, length, _, offset)
  local start = now_us
  if offset >= 0 then
    start = floor((now_us - offset) / length) * length + offset
    if s[p] >= start then return end
  elseif s[p + 1] > 0 and s[p] + length > now_us then
    return
  end
  s[p], s[p + 1] = start, 0
end
function fixed.fits(s, p, cost, limit, length, _, offset)
  fixed.settle(s, p, limit, length, _, offset)
  if s[p + 1] + cost <= limit then return true end
  return false, cost > limit and never or s[p] + length - now_us
end
function fixed.give(s, p, cost, at)
  if not (at > 0 and at < s[p]) then s[p + 1] = max(0, s[p + 1] - cost) end
end
function fixed.show(s, p, limit, length)
  if s[p + 1] == 0 then return limit, 0, 0 end
  local left = s[p] + length - now_us
  return max(0, limit - s[p + 1]), left, left
end

function fixed.take(s, p, cost, limit, length)
  s[p + 1] = s[p + 1] + cost
  return fixed.show(s, p, limit, length)
end

local kinds = { window, gcra, fixed }
local letters = { s = window, l = window, g = gcra, f = fixed }
`
