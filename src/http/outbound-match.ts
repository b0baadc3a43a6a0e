import { InvalidOption } from '../base/errors.ts'
import { compileGlob } from '../base/glob.ts'

const FORM = /^(?:([A-Z]+(?:\|[A-Z]+)*) )?(https?:\/\/[^/?#\s]+)(\/[^?#\s]*)$/

export type Match = (method: string, url: URL) => boolean

/**
 * `'GET https://api.example/products/*'`: methods (`GET` when none is named, several as `GET|HEAD`),
 * origin and path. `*` stands for any run of characters, in the path over `/` too; in the origin it
 * never reaches into the path. The query is not part of it.
 * @throws InvalidOption
 */
export function compileMatch(match: unknown, where: string): { methods: readonly string[]; matches: Match } {
  const parts = typeof match === 'string' ? FORM.exec(match) : null
  if (!parts) {
    throw new InvalidOption(
      `${where}.match is not a method, an origin and a path`,
      `write 'GET https://api.example/products/*', without a query`,
    )
  }
  const methods = (parts[1] ?? 'GET').split('|')
  const origin = parts[2]!.toLowerCase().replace(/^(http:\/\/.*):80$|^(https:\/\/.*):443$/, '$1$2')
  const isOrigin = wildcard(origin)
  const isPath = wildcard(parts[3]!)
  return {
    methods,
    matches: (method, url) => methods.includes(method) && isOrigin(url.origin) && isPath(url.pathname),
  }
}

/** Only `*` is special here: the other characters of a glob are common in addresses. */
function wildcard(pattern: string): (text: string) => boolean {
  return pattern.includes('*')
    ? compileGlob(pattern.replace(/[?[\]\\]/g, '\\$&'))
    : (text) => text === pattern
}
