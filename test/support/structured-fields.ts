/** Parses a List of Structured Fields by the letter of RFC 9651, section 4.2: strings and integers. */
export interface Item {
  readonly value: string | number
  readonly parameters: Readonly<Record<string, string | number | true>>
}

export function parseList(text: string): Item[] {
  let at = 0
  const fail = (what: string): never => {
    throw new Error(`${what} at ${at} of ${text}`)
  }
  const take = (pattern: RegExp, what: string): string => {
    const match = new RegExp(pattern.source, 'y')
    match.lastIndex = at
    const found = match.exec(text) ?? fail(what)
    at += found[0].length
    return found[0]
  }
  const bare = (): string | number => {
    if (text[at] === '"') {
      return take(/"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/, 'no string')
        .slice(1, -1)
        .replace(/\\(.)/g, '$1')
    }
    return Number(take(/-?\d{1,15}(?![\d.])/, 'no integer'))
  }
  const items: Item[] = []
  take(/ */, 'no space')
  while (at < text.length) {
    const value = bare()
    const parameters: Record<string, string | number | true> = {}
    while (text[at] === ';') {
      take(/; */, 'no parameter')
      const name = take(/[a-z*][a-z0-9_.*-]*/, 'no key')
      parameters[name] = true
      if (text[at] === '=') {
        at++
        parameters[name] = bare()
      }
    }
    items.push({ value, parameters })
    take(/[ \t]*/, 'no space')
    if (at === text.length) return items
    take(/,[ \t]*/, 'no comma')
    if (at === text.length) fail('trailing comma')
  }
  return items
}
