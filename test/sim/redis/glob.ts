/** Redis' glob, as in its stringmatchlen: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, backslash. */
export function matchesGlob(pattern: string, text: string): boolean {
  return match(pattern, 0, text, 0)
}

function match(pattern: string, start: number, text: string, from: number): boolean {
  let [p, t] = [start, from]
  for (; p < pattern.length; p++) {
    const c = pattern[p]
    if (c === '*') {
      while (pattern[p + 1] === '*') p++
      if (p + 1 === pattern.length) return true
      for (let i = t; i <= text.length; i++) if (match(pattern, p + 1, text, i)) return true
      return false
    }
    if (t >= text.length) return false
    if (c === '?') t++
    else if (c === '[') {
      const [end, hit] = bracket(pattern, p, text[t]!)
      if (!hit) return false
      p = end
      t++
    } else {
      if (c === '\\' && p + 1 < pattern.length) p++
      if (pattern[p] !== text[t]) return false
      t++
    }
  }
  return t === text.length
}

function bracket(pattern: string, start: number, c: string): [end: number, hit: boolean] {
  let p = start + 1
  const negated = pattern[p] === '^'
  if (negated) p++
  let hit = false
  for (; p < pattern.length && pattern[p] !== ']'; p++) {
    if (pattern[p] === '\\' && p + 1 < pattern.length) {
      p++
      hit ||= pattern[p] === c
    } else if (pattern[p + 1] === '-' && p + 2 < pattern.length) {
      const [low, high] = [pattern[p]!, pattern[p + 2]!].sort() as [string, string]
      hit ||= low <= c && c <= high
      p += 2
    } else hit ||= pattern[p] === c
  }
  return [Math.min(p, pattern.length - 1), hit !== negated]
}
