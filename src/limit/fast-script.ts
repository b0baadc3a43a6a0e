import { defineScript, LUA_NOW, luaDeadline, type Script } from '../redis/script.ts'

/**
 * The usual batch, written out: calls of `consume` that cost the same and ask for the same limits,
 * each for one subject, none twice. A third of the server's time of the script that can do everything
 * (check-script.ts), for three reasons: numbers stay in local variables instead of a table for each
 * subject, what is the same for all is worked out once, and states are written as they come. It reads
 * and writes the very same states, and answers in the same form.
 *
 * The text depends on the kinds of the limits alone, never on their numbers, so that a server holds
 * a handful of these whatever the plans are. A state that does not look as expected (other limits
 * were counted too, somebody wrote over it, its life was taken away) is answered with status 3 and
 * left alone: it is for the other script to judge.
 *
 * KEYS: state of each subject. ARGV: 1 deadline in server ms; 2 layout and ';'; 3 cost, then limit,
 * window, capacity or sub-window, offset of each limit, as text: a command without bytes in it leaves
 * a client in one piece. Reply: as check-script.ts.
 */
export function fastScript(kinds: readonly Kind[]): Script {
  const name = kinds.map((kind) => kind[0]).join('')
  const known = scripts.get(name)
  if (known) return known
  const script = defineScript(`limit.check.${name}`, luaFor(kinds))
  scripts.set(name, script)
  return script
}

export type Kind = 'window' | 'gcra' | 'fixed'

/** More limits than this are rare, and a Lua function has room for so many locals. */
export const MAX_FAST_LIMITS = 4
/** Status of an operation that this script leaves to the other one. */
export const NOT_MINE = 3

const scripts = new Map<string, Script>()

/** Lua for limit number `i`. Variables end in that number; counting-lua.ts says what they mean. */
interface Text {
  /** Numbers in the state, in order. */
  readonly state: (i: number) => readonly string[]
  /** Once per batch. */
  readonly once: (i: number) => string
  /** Reads what follows the numbers, from `at_` on. */
  readonly more: (i: number) => string
  /** Drops what time has undone. */
  readonly settle: (i: number) => string
  /** Sets `w` to µs until `cost` fits, or leaves it false. */
  readonly fits: (i: number) => string
  readonly take: (i: number) => string
  /** Sets m, d, e: remaining, µs until the next unit, µs until as good as new. */
  readonly show: (i: number) => string
}

const TEXT: Record<Kind, Text> = {
  window: {
    state: (i) => [`t${i}`, `l${i}`, `a${i}`, `n${i}`, `c${i}`, `z${i}`],
    once: (i) => `local F${i}, B${i}, X${i} = pair(C${i})
local H${i}, I${i} = now_us - L${i} + 1, floor(now_us / C${i})`,
    more: (i) => `if z${i} > 0 then
        local to = at_ + z${i} * 8
        r${i} = sub(blob, at_, to - 1)
        at_ = to
      end`,
    settle: (i) => `if t${i} > 0 and (l${i} < H${i} or (a${i} + 1) * C${i} <= H${i}) then
        t${i}, a${i}, r${i} = settle(t${i}, l${i}, n${i}, r${i}, C${i}, H${i}, F${i}, B${i})
      end`,
    fits: (i) => `if t${i} + cost > M${i} then
      w${i} = wait_for(t${i} + cost - M${i}, M${i}, L${i}, C${i}, l${i}, n${i}, r${i}, F${i}, B${i})
    end`,
    take: (i) => `if t${i} == 0 then
        a${i}, n${i}, c${i}, r${i} = I${i}, I${i}, cost, ''
      elseif n${i} >= I${i} then
        c${i} = c${i} + cost
      else
        if c${i} > X${i} then t${i}, c${i} = t${i} - (c${i} - X${i}), X${i} end
        r${i} = r${i} .. pack(F${i}, n${i} % B${i}, c${i})
        n${i}, c${i} = I${i}, cost
      end
      t${i}, z${i} = t${i} + cost, #r${i} / 8
      if l${i} < now_us then l${i} = now_us end`,
    show: (i) => `if t${i} == 0 then
        m${i}, d${i}, e${i} = M${i}, 0, 0
      else
        m${i}, e${i} = M${i} - t${i}, l${i} + L${i} - now_us
        if m${i} < 0 then m${i} = 0 end
        d${i} = (a${i} + 1) * C${i} - 1 + L${i} - now_us
        if d${i} > e${i} then d${i} = e${i} end
      end`,
  },
  gcra: {
    state: (i) => [`t${i}`, `u${i}`],
    once: () => '',
    more: () => '',
    settle: (i) => `if t${i} < now_us then
        u${i} = max(0, u${i} - (now_us - t${i}) * M${i})
        t${i} = now_us
      end`,
    fits: (i) => `local over${i} = u${i} + (cost - C${i}) * L${i}
    if over${i} > 0 then w${i} = cost > C${i} and never or ceil(over${i} / M${i}) + t${i} - now_us end`,
    take: (i) => `u${i} = u${i} + cost * L${i}`,
    show: (i) => `if u${i} == 0 then
        m${i}, d${i}, e${i} = C${i}, 0, 0
      elseif M${i} == 0 then
        m${i}, d${i}, e${i} = 0, never, never
      else
        local over, ahead = u${i} % L${i}, t${i} - now_us
        if over == 0 then over = L${i} end
        m${i} = max(0, floor((C${i} * L${i} - u${i}) / L${i}))
        d${i}, e${i} = ceil(over / M${i}) + ahead, ceil(u${i} / M${i}) + ahead
      end`,
  },
  fixed: {
    state: (i) => [`t${i}`, `u${i}`],
    once: (i) => `local S${i} = O${i} >= 0 and floor((now_us - O${i}) / L${i}) * L${i} + O${i} or now_us`,
    more: () => '',
    settle: (i) => `if O${i} >= 0 then
        if t${i} < S${i} then t${i}, u${i} = S${i}, 0 end
      elseif u${i} == 0 or t${i} + L${i} <= now_us then
        t${i}, u${i} = now_us, 0
      end`,
    fits: (i) => `if u${i} + cost > M${i} then w${i} = cost > M${i} and never or t${i} + L${i} - now_us end`,
    take: (i) => `u${i} = u${i} + cost`,
    show: (i) => `if u${i} == 0 then
        m${i}, d${i}, e${i} = M${i}, 0, 0
      else
        m${i}, d${i} = max(0, M${i} - u${i}), t${i} + L${i} - now_us
        e${i} = d${i}
      end`,
  },
}

function luaFor(kinds: readonly Kind[]): string {
  const each = (part: (text: Text, i: number) => string) =>
    kinds.map((kind, index) => part(TEXT[kind], index + 1)).join('\n    ')
  const list = (part: (text: Text, i: number) => string) =>
    kinds.map((kind, index) => part(TEXT[kind], index + 1)).join(', ')
  const state = kinds.flatMap((kind, index) => TEXT[kind].state(index + 1))
  const rests = kinds.flatMap((kind, index) => (kind === 'window' ? [`r${index + 1}`] : []))
  const size = state.length + 1
  const least = size * 8
  const doubles = (count: number) => `'<${'d'.repeat(count)}'`
  const zeros = (count: number) => Array.from({ length: count }, () => '0').join(', ')
  return `${LUA_NOW}${luaDeadline('ARGV[1]')}
local floor, max, min, ceil = math.floor, math.max, math.min, math.ceil
local pack, unpack_, sub = struct.pack, struct.unpack, string.sub
local never, longest = math.huge, 315360000000
local head = ARGV[2]
local from = #head + 1
local cost = tonumber(ARGV[3])
${each((_, i) => `local M${i}, L${i}, C${i}, O${i} = ${[0, 1, 2, 3].map((n) => `tonumber(ARGV[${i * 4 + n}])`).join(', ')}`)}
${
  rests.length === 0
    ? ''
    : `
local function pair(span)
  if span == 1 then return '<I6I2', 281474976710656, 65535 end
  return '<I2I6', 65536, 281474976710655
end
local function settle(total, last, newest, rest, span, horizon, format, base)
  if last < horizon then return 0, 0, '' end
  for from = 1, #rest, 8 do
    local i, n = unpack_(format, rest, from)
    i = newest - (newest - i) % base
    if (i + 1) * span > horizon then return total, i, sub(rest, from) end
    total = total - n
  end
  return total, newest, ''
end
local function wait_for(over, limit, length, span, last, newest, rest, format, base)
  if over > 0 and cost > limit then return never end
  last = last + length - now_us
  for from = 1, #rest, 8 do
    local i, n = unpack_(format, rest, from)
    i = newest - (newest - i) % base
    over = over - n
    if over <= 0 then return min((i + 1) * span - 1 + length - now_us, last) end
  end
  return last
end`
}
${each((text, i) => text.once(i))}
local raw = redis.call('MGET', unpack(KEYS))
local spelt, out = {}, { pack('<d', now_us) }
local not_mine = pack(${doubles(1 + kinds.length * 3)}, ${NOT_MINE}, ${zeros(kinds.length * 3)})

for k = 1, #KEYS do
  local blob, status, b = raw[k], 0, 0
  local ${state.join(', ')} = ${zeros(state.length)}
  ${rests.length === 0 ? '' : `local ${rests.join(', ')} = ${rests.map(() => "''").join(', ')}`}
  if blob then
    if #blob < from - 1 + ${least} or sub(blob, 1, from - 1) ~= head then
      status = ${NOT_MINE}
    else
      local at_
      b, ${state.join(', ')}, at_ = unpack_(${doubles(size)}, blob, from)
      ${each((text, i) => text.more(i))}
      if at_ > #blob + 1 then status = ${NOT_MINE} end
    end
  end
  if status == 0 then
    ${each((text, i) => text.settle(i))}
    local ${list((_, i) => `w${i}`)} = ${kinds.map(() => 'false').join(', ')}
    local ${list((_, i) => `m${i}, d${i}, e${i}`)}
    ${each((text, i) => text.fits(i))}
    if b > now_us then status = 2 elseif ${kinds.map((_, index) => `w${index + 1}`).join(' or ')} then status = 1 end
    if status == 0 then
      ${each((text, i) => text.take(i))}
      ${each((text, i) => text.show(i))}
      local life = ${kinds.length === 1 ? 'e1' : `max(${list((_, i) => `e${i}`)})`}
      local words = spelt[life]
      if not words then
        words = string.format('%d', min(longest, ceil(life / 1000)))
        spelt[life] = words
      end
      redis.call('SET', KEYS[k], head .. pack(${doubles(size)}, b, ${state.join(', ')})${rests.map((rest) => ` .. ${rest}`).join('')}, 'PX', words)
    else
      ${each((text, i) => text.show(i))}
      if status == 2 then
        local blocked = b - now_us
        ${each((_, i) => `d${i}, e${i} = -1 - max(w${i} or 0, blocked), max(e${i}, blocked)`)}
      else
        ${each((_, i) => `if w${i} then d${i} = -1 - w${i} end`)}
      end
      if blob and redis.call('PTTL', KEYS[k]) == -1 then status = ${NOT_MINE} end
    end
    out[k + 1] = pack(${doubles(1 + kinds.length * 3)}, status, ${list((_, i) => `m${i}, d${i}, e${i}`)})
  else
    out[k + 1] = not_mine
  end
end
return table.concat(out)
`
}
