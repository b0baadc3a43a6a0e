/**
 * Redis's own glob (`stringmatchlen` in util.c): `*`, `?` for one byte, `[a-z]`, `[^x]`, and a
 * backslash before a literal. Matching is over UTF-8 bytes, so memory and Redis agree.
 */
export function compileGlob(glob: string): (name: string) => boolean {
  const pattern = new RegExp(`^${globSource(toBytes(glob))}$`, 's')
  return (name) => pattern.test(toBytes(name))
}

const toBytes = (text: string): string => Buffer.from(text).toString('latin1')

function globSource(glob: string): string {
  let source = ''
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i]!
    if (char === '*') {
      // One `.*` for a run of stars, or the regular expression would try every split of them.
      if (glob[i + 1] !== '*') source += '.*'
    } else if (char === '?') source += '.'
    else if (char === '\\' && i + 1 < glob.length) source += quote(glob[++i]!)
    else if (char === '[') {
      const end = closing(glob, i)
      source += classSource(glob.slice(i + 1, end))
      i = end
    } else source += quote(char)
  }
  return source
}

/** Index of the `]` that ends a class, or the end of the glob: Redis closes it there. */
function closing(glob: string, open: number): number {
  for (let i = open + 1; i < glob.length; i++) {
    if (glob[i] === '\\') i++
    else if (glob[i] === ']') return i
  }
  return glob.length
}

function classSource(inside: string): string {
  const negated = inside.startsWith('^')
  let members = ''
  for (let i = negated ? 1 : 0; i < inside.length; i++) {
    if (inside[i] === '\\' && i + 1 < inside.length) members += quote(inside[++i]!)
    else if (inside[i + 1] === '-' && i + 2 < inside.length) {
      const [from, to] = [inside[i]!, inside[i + 2]!].sort()
      members += `${quote(from!)}-${quote(to!)}`
      i += 2
    } else members += quote(inside[i]!)
  }
  if (members === '') return negated ? '.' : '(?!)'
  return negated ? `[^${members}]` : `[${members}]`
}

const quote = (char: string): string => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
