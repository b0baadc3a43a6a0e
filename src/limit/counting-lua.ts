/**
 * The three ways of counting, in Lua; `arithmetic.ts` is the same in TypeScript. Expects `now_us`,
 * `floor`, `max`, `min`, `ceil`, `pack`, `unpack_`, `sub_` and `never`. All times in whole microseconds.
 *
 * A section is what one limit keeps of one subject: '' or little-endian doubles.
 * window: total, time of the last hit, then (sub-window, count) of each sub-window with hits
 * gcra: time, debt as of then, in units x window
 * fixed: start of the window, units used
 */
export const COUNTING = `
-- Each returns: admitted, remaining, wait, reset, new section, life. Verbs: 1 consume 2 peek 3 refund 4 penalty.
local function window(sec, verb, cost, at, limit, length, sub)
  local horizon, cur = now_us - length + 1, floor(now_us / sub)
  local total, last, from, size = 0, 0, 17, #sec
  local li, ln
  if size > 16 then
    total, last = unpack_('<dd', sec)
    if last < horizon then
      from, total = size + 1, 0
    else
      while from <= size do
        local i, n = unpack_('<dd', sec, from)
        if (i + 1) * sub > horizon then break end
        total = total - n
        from = from + 16
      end
    end
    if from <= size then li, ln = unpack_('<dd', sec, size - 15) end
  end
  if verb == 3 then
    if at > 0 and (floor(at / sub) + 1) * sub <= horizon then cost = 0 end
    -- From the old end: what stays counted is never older than what was really used.
    local left = min(cost, total)
    total = total - left
    while left > 0 do
      local i, n = unpack_('<dd', sec, from)
      if n > left then
        sec = sub_(sec, 1, from - 1) .. pack('<dd', i, n - left) .. sub_(sec, from + 16)
        left = 0
      else
        left = left - n
        from = from + 16
      end
    end
    if total == 0 then return true, limit, 0, 0, '', 0 end
    return true, max(0, limit - total), 0, last + length - now_us, pack('<dd', total, last) .. sub_(sec, from), length
  end
  local reset = li and last + length - now_us or 0
  if verb ~= 4 and total + cost > limit then
    local wait = never
    if cost <= limit then
      local freed, p = 0, from
      while total - freed + cost > limit do
        local i, n = unpack_('<dd', sec, p)
        freed = freed + n
        wait = min((i + 1) * sub - 1 + length - now_us, reset)
        p = p + 16
      end
    end
    return false, max(0, limit - total), wait, reset
  end
  local first = li and unpack_('<d', sec, from) or cur
  local wait = (first + 1) * sub - 1 + length - now_us
  if verb == 2 then return true, limit - total, li and min(wait, reset) or 0, reset end
  local tail = size
  if li and li >= cur then
    cur = li -- the same sub-window, or a clock that stepped back
    tail = size - 16
  else
    ln = 0
  end
  total = total + cost
  last = max(last, now_us)
  reset = last + length - now_us
  local new = pack('<dd', total, last) .. sub_(sec, from, tail) .. pack('<dd', cur, ln + cost)
  return true, max(0, limit - total), min(wait, reset), reset, new, reset
end

local function gcra(sec, verb, cost, at, limit, length, capacity)
  local t, debt = now_us, 0
  if sec ~= '' then
    local was
    was, debt = unpack_('<dd', sec)
    if was > now_us then t = was else debt = max(0, debt - (now_us - was) * limit) end
  end
  local full, take = capacity * length, cost * length
  if verb == 3 then
    debt = max(0, debt - take)
  elseif verb ~= 4 and debt + take > full then
    local wait = never
    if cost <= capacity and limit > 0 then wait = ceil((debt + take - full) / limit) + (t - now_us) end
    return false, max(0, floor((full - debt) / length)), wait, limit > 0 and ceil(debt / limit) or 0
  elseif verb ~= 2 then
    debt = debt + take
  end
  if limit == 0 then return true, 0, never, never, sec, 1 end
  local reset = ceil(debt / limit)
  local over = debt % length
  local wait = debt > 0 and ceil((over == 0 and length or over) / limit) or 0
  local remaining = max(0, floor((full - debt) / length))
  if verb == 2 then return true, remaining, wait, reset end
  return true, remaining, wait, reset, pack('<dd', t, debt), reset + (t - now_us)
end

local function fixed(sec, verb, cost, at, limit, length, _, offset)
  local start, used = now_us, 0
  if offset >= 0 then start = floor((now_us - offset) / length) * length + offset end
  if sec ~= '' then
    local was, count = unpack_('<dd', sec)
    if offset >= 0 then
      if was >= start then start, used = was, count end
    elseif was + length > now_us then
      start, used = was, count
    end
  end
  local left = start + length - now_us
  if verb == 3 then
    if not (at > 0 and at < start) then used = max(0, used - cost) end
  elseif verb ~= 4 and used + cost > limit then
    return false, max(0, limit - used), cost > limit and never or left, used > 0 and left or 0
  elseif verb ~= 2 then
    used = used + cost
  end
  local wait = used > 0 and left or 0
  if verb == 2 then return true, max(0, limit - used), wait, wait end
  if used == 0 then return true, limit, 0, 0, '', 0 end
  return true, max(0, limit - used), wait, wait, pack('<dd', start, used), left
end
`
