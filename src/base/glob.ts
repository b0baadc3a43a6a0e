/** What one byte of a name must be; `undefined` stands for `*`. */
type Token = ((byte: number) => boolean) | undefined

/**
 * Redis's own glob (`stringmatchlen` in util.c): `*`, `?` for one byte, `[a-z]`, `[^x]`, and a
 * backslash before a literal. Matching is over UTF-8 bytes, so memory and Redis agree. It only ever
 * returns to the last `*`, so the time is at worst pattern times name, whatever the pattern.
 */
export function compileGlob(glob: string): (name: string) => boolean {
  const tokens = parse(Buffer.from(glob))
  return (name) => matches(tokens, Buffer.from(name))
}

function matches(tokens: readonly Token[], name: Buffer): boolean {
  let at = 0
  let token = 0
  let star = -1
  let resume = 0
  while (at < name.length) {
    const test = tokens[token]
    if (token < tokens.length && test === undefined) {
      star = token++
      resume = at
    } else if (test?.(name[at]!)) {
      token++
      at++
    } else if (star >= 0) {
      token = star + 1
      at = ++resume
    } else return false
  }
  while (token < tokens.length && tokens[token] === undefined) token++
  return token === tokens.length
}

const code = (char: string): number => char.charCodeAt(0)
const STAR = code('*')
const ANY = code('?')
const ESCAPE = code('\\')
const OPEN = code('[')
const CLOSE = code(']')
const NOT = code('^')
const DASH = code('-')

function parse(glob: Buffer): Token[] {
  const tokens: Token[] = []
  for (let i = 0; i < glob.length; i++) {
    const byte = glob[i]!
    if (byte === STAR) tokens.push(undefined)
    else if (byte === ANY) tokens.push(() => true)
    else if (byte === ESCAPE && i + 1 < glob.length) tokens.push(literal(glob[++i]!))
    else if (byte === OPEN) {
      const { test, end } = parseClass(glob, i + 1)
      tokens.push(test)
      i = end
    } else tokens.push(literal(byte))
  }
  return tokens
}

const literal = (wanted: number) => (byte: number) => byte === wanted

/** A class that is not closed ends with the glob, as in Redis. */
function parseClass(glob: Buffer, start: number): { test: (byte: number) => boolean; end: number } {
  const isNegated = glob[start] === NOT
  const members = new Set<number>()
  let i = isNegated ? start + 1 : start
  for (; i < glob.length && glob[i] !== CLOSE; i++) {
    if (glob[i] === ESCAPE && i + 1 < glob.length) members.add(glob[++i]!)
    else if (glob[i + 1] === DASH && i + 2 < glob.length) {
      const from = Math.min(glob[i]!, glob[i + 2]!)
      const to = Math.max(glob[i]!, glob[i + 2]!)
      for (let byte = from; byte <= to; byte++) members.add(byte)
      i += 2
    } else members.add(glob[i]!)
  }
  return { test: (byte) => members.has(byte) !== isNegated, end: i }
}
