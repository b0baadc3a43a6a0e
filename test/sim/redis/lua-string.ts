import { type Captures, matchAt } from './lua-pattern.ts'
import { formatG, LuaError, LuaTable, Multi, toNumber, toText } from './lua-value.ts'

/** Lua 5.1's `string` library over one-character-per-byte strings. */
function str(value: unknown, name: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return toText(value)
  throw new LuaError(`bad argument to '${name}' (string expected)`)
}

function int(value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise
  const n = toNumber(value)
  if (n === undefined) throw new LuaError('bad argument (number expected)')
  return Math.trunc(n)
}

const start = (i: number, length: number): number => (i > 0 ? i : i === 0 ? 1 : Math.max(length + i + 1, 1))
const finish = (j: number, length: number): number => (j > length ? length : j < 0 ? length + j + 1 : j)

/** Captures of a match; the whole match where the pattern has none. */
const captured = (captures: Captures, subject: string, from: number): unknown[] =>
  captures.list.length ? captures.list : [subject.slice(from, captures.end)]

function search(
  subject: string,
  pattern: string,
  init: number,
): { from: number; captures: Captures } | undefined {
  const anchored = pattern[0] === '^'
  for (let from = init - 1; from <= subject.length; from++) {
    const captures = matchAt(subject, from, pattern, anchored ? 1 : 0)
    if (captures) return { from, captures }
    if (anchored) return undefined
  }
  return undefined
}

function find(subject: unknown, pattern: unknown, init: unknown, plain: unknown): unknown {
  const [s, p] = [str(subject, 'find'), str(pattern, 'find')]
  const at = start(int(init, 1), s.length)
  if (at > s.length + 1) return undefined
  if ((plain !== undefined && plain !== false) || !/[\^$*+?.([%-]/.test(p)) {
    const found = s.indexOf(p, at - 1)
    return found < 0 ? undefined : new Multi([found + 1, found + p.length])
  }
  const hit = search(s, p, at)
  return hit && new Multi([hit.from + 1, hit.captures.end, ...hit.captures.list])
}

function gsub(subject: unknown, pattern: unknown, replacement: unknown, limit: unknown): unknown {
  const [s, p] = [str(subject, 'gsub'), str(pattern, 'gsub')]
  const most = limit === undefined ? Number.POSITIVE_INFINITY : int(limit, 0)
  const anchored = p[0] === '^'
  let [out, at, count] = ['', 0, 0]
  while (count < most) {
    const captures = matchAt(s, at, p, anchored ? 1 : 0)
    if (captures) {
      count++
      const whole = s.slice(at, captures.end)
      out += replace(replacement, captured(captures, s, at), whole)
      if (captures.end > at) at = captures.end
      else if (at < s.length) out += s[at++]
      else break
    } else if (at < s.length) out += s[at++]
    else break
    if (anchored) break
  }
  return new Multi([out + s.slice(at), count])
}

function replace(by: unknown, captures: readonly unknown[], whole: string): string {
  if (typeof by === 'string' || typeof by === 'number') {
    return str(by, 'gsub').replace(/%(.)/gs, (_, c: string) =>
      c === '0' ? whole : /\d/.test(c) ? str(captures[Number(c) - 1], 'gsub') : c,
    )
  }
  const value =
    by instanceof LuaTable ? by.get(captures[0]) : (by as (...args: unknown[]) => unknown)(...captures)
  const result = value instanceof Multi ? value.values[0] : value
  return result === undefined || result === false ? whole : str(result, 'gsub')
}

function format(pattern: unknown, ...args: unknown[]): string {
  let next = 0
  return str(pattern, 'format').replace(
    /%([-+ #0]*)(\d*)(?:\.(\d*))?(.)/gs,
    (_, flags, width, precision, kind) => {
      if (kind === '%') return '%'
      const value = args[next++]
      let out: string
      if (kind === 's') {
        const text =
          typeof value === 'string'
            ? value
            : typeof value === 'number'
              ? toText(value)
              : value === undefined
                ? 'nil'
                : String(value)
        out = precision === undefined ? text : text.slice(0, Number(precision))
      } else if (kind === 'q') out = `"${str(value, 'format').replace(/["\\\n]/g, '\\$&')}"`
      else if (kind === 'c') out = String.fromCharCode(int(value, 0))
      else {
        const n = toNumber(value)
        if (n === undefined) throw new LuaError("bad argument to 'format' (number expected)")
        out = number(kind, n, precision)
        if (flags.includes('+') && n >= 0) out = `+${out}`
      }
      const size = Number(width || 0)
      if (flags.includes('-')) return out.padEnd(size)
      if (!flags.includes('0') || kind === 's') return out.padStart(size)
      const sign = /^[+-]/.exec(out)?.[0] ?? ''
      return sign + out.slice(sign.length).padStart(size - sign.length, '0')
    },
  )
}

function number(kind: string, n: number, precision: string | undefined): string {
  switch (kind) {
    case 'd':
    case 'i':
    case 'u':
      return BigInt(Math.trunc(n))
        .toString()
        .padStart(Number(precision ?? 0), '0')
    case 'x':
      return BigInt(Math.trunc(n)).toString(16)
    case 'X':
      return BigInt(Math.trunc(n)).toString(16).toUpperCase()
    case 'f':
      return Math.abs(n) < 1e21 ? n.toFixed(Number(precision ?? 6)) : BigInt(n).toString()
    case 'e':
      return n.toExponential(Number(precision ?? 6)).replace(/e([+-])(\d)$/, 'e$10$2')
    case 'g':
      return formatG(n, Number(precision ?? 6), false)
    default:
      throw new LuaError(`invalid option '%${kind}' to 'format'`)
  }
}

export const stringLibrary: Record<string, unknown> = {
  len: (s: unknown) => str(s, 'len').length,
  sub(subject: unknown, i: unknown, j: unknown) {
    const s = str(subject, 'sub')
    return s.slice(start(int(i, 1), s.length) - 1, Math.max(finish(int(j, -1), s.length), 0))
  },
  lower: (s: unknown) => str(s, 'lower').replace(/[A-Z]/g, (c) => c.toLowerCase()),
  upper: (s: unknown) => str(s, 'upper').replace(/[a-z]/g, (c) => c.toUpperCase()),
  rep: (s: unknown, n: unknown) => str(s, 'rep').repeat(Math.max(0, int(n, 0))),
  reverse: (s: unknown) => [...str(s, 'reverse')].reverse().join(''),
  byte(subject: unknown, i: unknown, j: unknown) {
    const s = str(subject, 'byte')
    const from = start(int(i, 1), s.length)
    const to = finish(j === undefined ? int(i, 1) : int(j, 1), s.length)
    return new Multi(Array.from({ length: Math.max(0, to - from + 1) }, (_, k) => s.charCodeAt(from - 1 + k)))
  },
  char: (...codes: unknown[]) => String.fromCharCode(...codes.map((c) => int(c, 0))),
  find,
  match(subject: unknown, pattern: unknown, init: unknown) {
    const s = str(subject, 'match')
    const hit = search(s, str(pattern, 'match'), start(int(init, 1), s.length))
    return hit && new Multi(captured(hit.captures, s, hit.from))
  },
  gmatch(subject: unknown, pattern: unknown) {
    const [s, p] = [str(subject, 'gmatch'), str(pattern, 'gmatch')]
    let at = 0
    return () => {
      for (; at <= s.length; at++) {
        const captures = matchAt(s, at, p, 0)
        if (!captures) continue
        const result = new Multi(captured(captures, s, at))
        at = captures.end > at ? captures.end : at + 1
        return result
      }
      return undefined
    }
  },
  gsub,
  format,
}
