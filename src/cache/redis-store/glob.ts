/**
 * Redis glob patterns (`*`, `?`, `[a-c]`, `[^x]`, `\` escapes) matched in this process exactly as
 * the server matches them, for copies that the server no longer has.
 */
export function globMatcher(glob: string): (text: string) => boolean {
  const pattern = new RegExp(`^${translate(glob)}$`, 'su')
  return (text) => pattern.test(text)
}

function translate(glob: string): string {
  let out = ''
  let i = 0
  while (i < glob.length) {
    const char = String.fromCodePoint(glob.codePointAt(i)!)
    i += char.length
    if (char === '*') out += '.*'
    else if (char === '?') out += '.'
    else if (char === '\\' && i < glob.length) {
      const next = String.fromCodePoint(glob.codePointAt(i)!)
      out += literal(next)
      i += next.length
    } else if (char === '[') {
      const close = glob.indexOf(']', i + 1)
      if (close < 0) out += '\\['
      else {
        out += classOf(glob.slice(i, close))
        i = close + 1
      }
    } else out += literal(char)
  }
  return out
}

function classOf(inner: string): string {
  const negated = inner.startsWith('^')
  const members = (negated ? inner.slice(1) : inner).replace(/[\\\]^[&~|]/g, '\\$&')
  return `[${negated ? '^' : ''}${members}]`
}

const literal = (char: string): string => char.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
