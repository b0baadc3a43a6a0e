import { LuaError } from './lua-value.ts'

/** Lua patterns, by backtracking as in the reference implementation (lstrlib.c). */
export interface Captures {
  readonly end: number
  /** Strings, or numbers for position captures `()`. */
  readonly list: (string | number)[]
}

const CLASSES: Record<string, RegExp> = {
  a: /[A-Za-z]/,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this class is the control characters
  c: /[\x00-\x1f\x7f]/,
  d: /[0-9]/,
  l: /[a-z]/,
  p: /[!-/:-@[-`{-~]/,
  s: /[ \t-\r]/,
  u: /[A-Z]/,
  w: /[A-Za-z0-9]/,
  x: /[A-Fa-f0-9]/,
  z: /\0/,
}

function inClass(c: string, name: string): boolean {
  const set = CLASSES[name.toLowerCase()]
  if (!set) return c === name
  return set.test(c) === (name === name.toLowerCase())
}

/** Index after the single-character class at `p`. */
function classEnd(pattern: string, p: number): number {
  const c = pattern[p++]
  if (c === '%') {
    if (p >= pattern.length) throw new LuaError("malformed pattern (ends with '%')")
    return p + 1
  }
  if (c !== '[') return p
  if (pattern[p] === '^') p++
  do {
    if (p >= pattern.length) throw new LuaError("malformed pattern (missing ']')")
    if (pattern[p++] === '%') p++
  } while (pattern[p] !== ']')
  return p + 1
}

function inSet(c: string, pattern: string, from: number, to: number): boolean {
  let p = from + 1
  const negated = pattern[p] === '^'
  if (negated) p++
  for (; p < to; p++) {
    if (pattern[p] === '%') {
      p++
      if (inClass(c, pattern[p]!)) return !negated
    } else if (pattern[p + 1] === '-' && p + 2 < to) {
      if (pattern[p]! <= c && c <= pattern[p + 2]!) return !negated
      p += 2
    } else if (pattern[p] === c) return !negated
  }
  return negated
}

export function matchAt(
  subject: string,
  from: number,
  pattern: string,
  offset: number,
): Captures | undefined {
  const starts: number[] = []
  const lengths: number[] = []
  const OPEN = -1
  const POSITION = -2

  const single = (s: number, p: number, end: number): boolean => {
    if (s >= subject.length) return false
    const c = subject[s]!
    switch (pattern[p]) {
      case '.':
        return true
      case '%':
        return inClass(c, pattern[p + 1]!)
      case '[':
        return inSet(c, pattern, p, end - 1)
      default:
        return pattern[p] === c
    }
  }

  const capture = (s: number, p: number, length: number): number => {
    starts.push(s)
    lengths.push(length)
    const end = run(s, p)
    if (end < 0) {
      starts.pop()
      lengths.pop()
    }
    return end
  }

  const run = (s: number, p: number): number => {
    for (;;) {
      if (p >= pattern.length) return s
      const c = pattern[p]
      if (c === '(') return pattern[p + 1] === ')' ? capture(s, p + 2, POSITION) : capture(s, p + 1, OPEN)
      if (c === ')') {
        const open = lengths.lastIndexOf(OPEN)
        if (open < 0) throw new LuaError('invalid pattern capture')
        lengths[open] = s - starts[open]!
        const end = run(s, p + 1)
        if (end < 0) lengths[open] = OPEN
        return end
      }
      if (c === '$' && p + 1 === pattern.length) return s === subject.length ? s : -1
      if (
        c === '%' &&
        (pattern[p + 1] === 'b' || pattern[p + 1] === 'f' || /\d/.test(pattern[p + 1] ?? ''))
      ) {
        throw new LuaError(`pattern item %${pattern[p + 1]} is not part of this Lua`)
      }
      const end = classEnd(pattern, p)
      const suffix = pattern[end]
      if (suffix === '?') {
        if (single(s, p, end)) {
          const result = run(s + 1, end + 1)
          if (result >= 0) return result
        }
        p = end + 1
      } else if (suffix === '*' || suffix === '+') {
        let count = 0
        while (single(s + count, p, end)) count++
        for (const least = suffix === '+' ? 1 : 0; count >= least; count--) {
          const result = run(s + count, end + 1)
          if (result >= 0) return result
        }
        return -1
      } else if (suffix === '-') {
        for (;;) {
          const result = run(s, end + 1)
          if (result >= 0) return result
          if (!single(s, p, end)) return -1
          s++
        }
      } else {
        if (!single(s, p, end)) return -1
        s++
        p = end
      }
    }
  }

  const end = run(from, offset)
  if (end < 0) return undefined
  const list = starts.map((at, i) => (lengths[i] === POSITION ? at + 1 : subject.slice(at, at + lengths[i]!)))
  return { end, list }
}
