import { createHash } from 'node:crypto'
import { requestField } from './fields.ts'
import type { HeaderRecord, HttpRequest } from './message.ts'
import type { RouteOptions } from './options.ts'
import { variantDigest } from './vary.ts'

/** Where a request points to, for keys and for comparing origins. */
export interface Target {
  readonly scheme: 'http' | 'https'
  /** Lower case, without the port that the scheme implies. */
  readonly host: string
  /** Path and query. */
  readonly path: string
}

// Registered names, IPv4 and IPv6 literals; what else a client may send as Host is not worth a key.
const HOST = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/
const ABSOLUTE = /^(https?):\/\/([^/?#]*)([^#]*)/i
// Printable ASCII; a fragment has no place in a request.
const PATH = /^\/[\x21\x22\x24-\x7e]*$/
/** Of a name in DNS, with a port. */
const MAX_HOST = 253 + 6
/** Longer targets stand in a key by their digest. */
const MAX_READABLE = 300

/**
 * Undefined where the target is nothing that a key can be made of: authority and asterisk form, an
 * absolute form that names another host than the Host field, a host that is none.
 */
export function targetOf(request: HttpRequest): Target | undefined {
  const scheme = request.scheme ?? 'http'
  const host = hostOf(request.host ?? requestField(request.headers, 'host') ?? '', scheme)
  if (host === undefined) return undefined
  const { url } = request
  if (url.charCodeAt(0) === 0x2f) return PATH.test(url) ? { scheme, host, path: url } : undefined
  const absolute = ABSOLUTE.exec(url)
  if (!absolute) return undefined
  const path = absolute[3]!.startsWith('/') ? absolute[3]! : `/${absolute[3]!}`
  // Which of two hosts the application goes by cannot be known from here.
  const sameHost = hostOf(absolute[2]!, scheme) === host && absolute[1]!.toLowerCase() === scheme
  return sameHost && PATH.test(path) ? { scheme, host, path } : undefined
}

/** Most requests come to few hosts, written the same each time. */
const hosts = new Map<string, string | undefined>()
const MAX_HOSTS = 256

function hostOf(authority: string, scheme: string): string | undefined {
  const name = scheme + authority
  if (hosts.has(name)) return hosts.get(name)
  const host = readHost(authority, scheme)
  if (hosts.size >= MAX_HOSTS) hosts.clear()
  if (name.length < 300) hosts.set(name, host)
  return host
}

function readHost(authority: string, scheme: string): string | undefined {
  const lower = authority.toLowerCase()
  if (lower === '') return ''
  if (lower.length > MAX_HOST || !HOST.test(lower)) return undefined
  const implied = scheme === 'https' ? ':443' : ':80'
  return lower.endsWith(implied) ? lower.slice(0, -implied.length) : lower
}

/** The target with the part of the query that tells responses apart. */
export function pathByQuery(path: string, query: RouteOptions['query']): string {
  const at = path.indexOf('?')
  if (at < 0 || query === undefined || query === 'exact') return path
  let parts = path.slice(at + 1).split('&')
  if (query !== 'sorted') {
    const { only, ignore } = query as { only?: readonly string[]; ignore?: readonly string[] }
    parts = parts.filter((part) => {
      const name = decoded(part.split('=', 1)[0]!)
      return only ? only.includes(name) : !ignore!.includes(name)
    })
  }
  // A stable sort by name only: the order of equal names can mean something.
  const byName = (a: string, b: string): number => {
    const [x, y] = [a.split('=', 1)[0]!, b.split('=', 1)[0]!]
    return x < y ? -1 : x > y ? 1 : 0
  }
  parts = parts.filter((part) => part !== '').sort(byName)
  return parts.length === 0 ? path.slice(0, at) : `${path.slice(0, at)}?${parts.join('&')}`
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    return name
  }
}

/** Fields by which proxies and frameworks let a client change what is answered, though no Vary names them. */
const SHAPING = [
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-scheme',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-server',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-host',
  'forwarded',
] as const

/** '' in the usual case that none of them is there. */
export function shapingPart(headers: HeaderRecord): string {
  let found: (string | undefined)[] | undefined
  for (const name of SHAPING) {
    if (headers[name] === undefined) continue
    found ??= []
    found.push(name, requestField(headers, name))
  }
  return found === undefined ? '' : ` f=${digest(JSON.stringify(found))}`
}

export function identityPart(identity: string): string {
  return ` i=${digest(identity)}`
}

/** A space cannot stand in a target, so parts after one cannot be forged by a URL. */
export function primaryKey(kind: string, target: Target, path: string, parts: string): string {
  return `${kind}:${target.scheme}://${target.host}${readable(path)}${parts}`
}

export function variantKey(
  primary: string,
  names: readonly string[],
  values: readonly (string | null)[],
): string {
  return `${primary} v=${variantDigest(names, values)}`
}

/** The tag of every response under one URL: all variants, identities and both schemes. */
export function urlTag(host: string, path: string): string {
  return `http:${host}${readable(path)}`
}

/** The tag of every response. */
export const ALL_TAG = 'http:all'

function readable(path: string): string {
  return path.length <= MAX_READABLE ? path : `/#${digest(path)}`
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
