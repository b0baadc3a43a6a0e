import { listOf } from './fields.ts'
import { parseDictionary, type SfItem } from './structured-fields.ts'

/** Delta-seconds as large as anybody needs; larger ones are cut to it (RFC 9111, 1.2.2). */
const MAX_DELTA = 2 ** 31

/** Response directives (RFC 9111, 5.2.2; RFC 5861), times in seconds. */
export interface ResponseDirectives {
  readonly noStore: boolean
  /** True, or the fields that must not be reused without revalidation. */
  readonly noCache: boolean | readonly string[]
  /** True, or the fields that are for one user only. */
  readonly private: boolean | readonly string[]
  readonly public: boolean
  readonly mustRevalidate: boolean
  readonly proxyRevalidate: boolean
  readonly mustUnderstand: boolean
  readonly maxAge: number | undefined
  readonly sMaxage: number | undefined
  readonly staleWhileRevalidate: number | undefined
  readonly staleIfError: number | undefined
}

/** Request directives (RFC 9111, 5.2.1), times in seconds. */
export interface RequestDirectives {
  readonly noStore: boolean
  readonly noCache: boolean
  readonly onlyIfCached: boolean
  readonly maxAge: number | undefined
  readonly minFresh: number | undefined
  readonly maxStale: number | undefined
}

type Value = string | true
type Found = ReadonlyMap<string, readonly Value[]>

/** Names in lower case with every value that they have, quotes taken off. Never throws. */
export function parseDirectives(text: string | undefined): Found {
  const found = new Map<string, Value[]>()
  for (const element of listOf(text)) {
    const at = element.indexOf('=')
    const name = (at < 0 ? element : element.slice(0, at)).toLowerCase()
    const value = at < 0 ? true : unquote(element.slice(at + 1))
    const known = found.get(name)
    if (known) known.push(value)
    else found.set(name, [value])
  }
  return found
}

/** Cache-Control of a response. Times that are no numbers count as 0: what is not understood is stale. */
export function responseDirectives(text: string | undefined): ResponseDirectives {
  const found = parseDirectives(text)
  return {
    noStore: found.has('no-store'),
    noCache: fieldsOrAll(found.get('no-cache')),
    private: fieldsOrAll(found.get('private')),
    public: found.has('public'),
    mustRevalidate: found.has('must-revalidate'),
    proxyRevalidate: found.has('proxy-revalidate'),
    mustUnderstand: found.has('must-understand'),
    maxAge: seconds(found.get('max-age')),
    sMaxage: seconds(found.get('s-maxage')),
    staleWhileRevalidate: seconds(found.get('stale-while-revalidate')),
    staleIfError: seconds(found.get('stale-if-error')),
  }
}

/** Cache-Control of a request, or Pragma where that is all there is (RFC 9111, 5.4). */
export function requestDirectives(text: string | undefined, pragma: string | undefined): RequestDirectives {
  const found = parseDirectives(text)
  const stale = found.get('max-stale')
  return {
    noStore: found.has('no-store'),
    noCache: found.has('no-cache') || (text === undefined && parseDirectives(pragma).has('no-cache')),
    onlyIfCached: found.has('only-if-cached'),
    maxAge: seconds(found.get('max-age')),
    minFresh: seconds(found.get('min-fresh')),
    maxStale: stale === undefined ? undefined : stale[0] === true ? MAX_DELTA : seconds(stale),
  }
}

const TIMES = ['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error']
const FLAGS = [
  'no-store',
  'public',
  'must-revalidate',
  'proxy-revalidate',
  'must-understand',
  'no-cache',
  'private',
]

/**
 * A targeted field (RFC 9213): a structured dictionary. Undefined where it must be ignored: empty,
 * not well-formed, or a directive with a value of another type than its own.
 */
export function targetedDirectives(text: string | undefined): ResponseDirectives | undefined {
  const found = text === undefined ? undefined : parseDictionary(text)
  if (found === undefined || found.size === 0) return undefined
  for (const name of TIMES) {
    const value = found.get(name)
    if (value !== undefined && !(typeof value === 'number' && Number.isInteger(value) && value >= 0))
      return undefined
  }
  for (const name of FLAGS) {
    const value = found.get(name)
    const mayList = name === 'no-cache' || name === 'private'
    if (value !== undefined && typeof value !== 'boolean' && !(mayList && isNames(value))) return undefined
  }
  const is = (name: string): boolean => found.get(name) === true
  const names = (name: string): boolean | readonly string[] => {
    const value = found.get(name)
    if (typeof value === 'string') return listOf(value.toLowerCase())
    return Array.isArray(value) ? value.map((one) => String(one).toLowerCase()) : value === true
  }
  const time = (name: string): number | undefined => {
    const value = found.get(name)
    return typeof value === 'number' ? Math.min(value, MAX_DELTA) : undefined
  }
  return {
    noStore: is('no-store'),
    noCache: names('no-cache'),
    private: names('private'),
    public: is('public'),
    mustRevalidate: is('must-revalidate'),
    proxyRevalidate: is('proxy-revalidate'),
    mustUnderstand: is('must-understand'),
    maxAge: time('max-age'),
    sMaxage: time('s-maxage'),
    staleWhileRevalidate: time('stale-while-revalidate'),
    staleIfError: time('stale-if-error'),
  }
}

function isNames(value: SfItem | readonly SfItem[]): boolean {
  return typeof value === 'string' || Array.isArray(value)
}

/** Of several values the smallest; one that is no number is 0 (RFC 9111, 4.2.1). */
function seconds(values: readonly Value[] | undefined): number | undefined {
  if (values === undefined) return undefined
  let least = MAX_DELTA
  for (const value of values) {
    least = Math.min(least, value !== true && /^\d+$/.test(value) ? Number(value) : 0)
  }
  return least
}

/** With a list of fields in one place and none in another, the stricter counts: all. */
function fieldsOrAll(values: readonly Value[] | undefined): boolean | readonly string[] {
  if (values === undefined) return false
  const names: string[] = []
  for (const value of values) {
    if (value === true) return true
    names.push(...listOf(value.toLowerCase()))
  }
  return names.length > 0 ? names : true
}

function unquote(text: string): string {
  return text.length >= 2 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replace(/\\(.)/g, '$1')
    : text
}
