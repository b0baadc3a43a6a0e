import type { RequestDirectives, ResponseDirectives } from './cache-control.ts'
import { responseDirectives, targetedDirectives } from './cache-control.ts'
import type { Fields } from './fields.ts'
import { parseHttpDate } from './http-date.ts'
import type { Route } from './route.ts'
import { varyNames } from './vary.ts'

/** Rules that hold for a whole engine. */
export interface Rules {
  readonly isRfc: boolean
  readonly allowVary: ReadonlySet<string>
}

/** What is asked about a response before it may be stored. */
export interface Candidate {
  readonly status: number
  readonly fields: Fields
  readonly requestedAt: number
  readonly receivedAt: number
  /** The same moment by the wall clock, which dates are written by. */
  readonly receivedWall: number
  readonly route: Route
  readonly rules: Rules
  readonly directives: RequestDirectives
  readonly hasAuthorization: boolean
  readonly hasIdentity: boolean
}

/** What the response allows. Times in ms. */
export interface Terms {
  readonly bornAt: number
  readonly dateMs: number
  readonly lifetimeMs: number
  readonly staleWhileRevalidateMs: number
  readonly staleIfErrorMs: number
  readonly mustRevalidate: boolean
  readonly noCache: boolean
  readonly isPublic: boolean
  readonly varyNames: readonly string[]
  /** Fields that may not be stored with the rest. */
  readonly withoutFields: readonly string[]
}

/** Ours first: a targeted field that is there and valid replaces Cache-Control and Expires (RFC 9213). */
const TARGETED = ['holdfast-cache-control', 'cdn-cache-control']
/** RFC 9110, 15.1; 206 aside, which is not stored. */
const HEURISTIC = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
/** What a route means by its ttl: answers that went well, and redirections for good. */
const BY_ROUTE = new Set([200, 203, 204, 300, 301, 308])
/** Whose caching rules are known here, for must-understand. */
const UNDERSTOOD = new Set([
  ...HEURISTIC,
  302,
  303,
  307,
  400,
  401,
  402,
  403,
  406,
  408,
  409,
  411,
  413,
  415,
  421,
  422,
  429,
  500,
  502,
  503,
  504,
])
const HEURISTIC_SHARE = 0.1
const HEURISTIC_MOST_MS = 86_400_000
/** Values that everybody has another of, or that are nobody's business. */
const UNBOUNDED_VARY = new Set([
  'authorization',
  'cookie',
  'user-agent',
  'referer',
  'x-forwarded-for',
  'forwarded',
  'x-real-ip',
  'x-request-id',
  'traceparent',
])
const MAX_VARY_NAMES = 10

/** The terms under which a response may be stored by a shared cache, or why it may not (RFC 9111, 3). */
export function assess(c: Candidate): Terms | string {
  const { status, fields, rules, route } = c
  if (status < 200 || status === 206 || status === 304) return 'status'
  if (c.directives.noStore) return 'request-no-store'
  // It has no end.
  if (/^text\/event-stream\b/i.test(fields.get('content-type') ?? '')) return 'event-stream'
  const targeted = TARGETED.map((name) => targetedDirectives(fields.get(name))).find((one) => one)
  const said = targeted ?? responseDirectives(fields.get('cache-control'))
  const understands = said.mustUnderstand && UNDERSTOOD.has(status)
  if (said.mustUnderstand && !understands) return 'must-understand'
  if (said.noStore && !understands) return 'no-store'
  if (said.private === true || (said.private && !rules.isRfc)) return 'private'
  if (!rules.isRfc && fields.has('set-cookie')) return 'set-cookie'
  const isAuthorized = c.hasIdentity || (rules.isRfc ? allowsAuthorized(said) : said.public)
  if (c.hasAuthorization && !isAuthorized) return 'authorization'

  const names = varyNames(fields.lines('vary'), implied(c))
  if (names === undefined) return 'vary-all'
  if (names.length > MAX_VARY_NAMES) return 'vary-many'
  if (!rules.isRfc) {
    const bad = names.find((name) => UNBOUNDED_VARY.has(name) && !rules.allowVary.has(name))
    if (bad !== undefined && !(c.hasIdentity && (bad === 'cookie' || bad === 'authorization')))
      return 'vary-unbounded'
  }

  const { receivedAt, receivedWall } = c
  const dateMs = parseHttpDate(fields.get('date'), receivedWall) ?? receivedWall
  const bornAt = receivedAt - initialAge(fields, dateMs, c)
  const lifetimeMs = lifetimeOf(said, targeted !== undefined, dateMs, c)
  if (lifetimeMs === undefined) return 'no-lifetime'
  const isShared = said.sMaxage !== undefined && targeted === undefined
  // By the letter s-maxage forbids stale use; who writes it together with a stale directive means the latter.
  const asked = said.staleWhileRevalidate !== undefined || said.staleIfError !== undefined
  const mustRevalidate = said.mustRevalidate || said.proxyRevalidate || (isShared && (rules.isRfc || !asked))
  const terms: Terms = {
    bornAt,
    dateMs,
    lifetimeMs,
    staleWhileRevalidateMs: mustRevalidate ? 0 : secondsOr(said.staleWhileRevalidate, route.staleMs),
    staleIfErrorMs: mustRevalidate ? 0 : secondsOr(said.staleIfError, route.staleIfErrorMs),
    mustRevalidate,
    noCache: said.noCache === true || (said.noCache !== false && !rules.isRfc),
    isPublic: said.public,
    varyNames: names,
    withoutFields: [...listed(said.private), ...listed(said.noCache)],
  }
  if (rules.isRfc) return terms
  // In one process with the application, asking costs what answering costs: nothing is won by
  // keeping what must be asked for each time.
  const usableMs = bornAt + lifetimeMs + terms.staleWhileRevalidateMs + terms.staleIfErrorMs - receivedAt
  return terms.noCache || usableMs <= 0 ? 'no-lifetime' : terms
}

/** An encoding that nobody asked for is no use, even where the application forgot to say Vary. */
function implied({ fields, rules, route }: Candidate): readonly string[] {
  return !rules.isRfc && fields.has('content-encoding') ? [...route.vary, 'accept-encoding'] : route.vary
}

function allowsAuthorized(said: ResponseDirectives): boolean {
  return said.public || said.mustRevalidate || said.sMaxage !== undefined
}

/** RFC 9111, 4.2.3. Of Age only the first value counts, and only if it is a number. */
function initialAge(fields: Fields, dateMs: number, c: Candidate): number {
  const first = fields.lines('age')[0]?.split(',', 1)[0]?.trim() ?? ''
  const ageMs = /^\d+$/.test(first) ? Math.min(Number(first), 2 ** 31) * 1_000 : 0
  const apparent = Math.max(0, c.receivedWall - dateMs)
  return Math.max(apparent, ageMs + (c.receivedAt - c.requestedAt))
}

/** Undefined: it says nothing, and nothing may be assumed. */
function lifetimeOf(
  said: ResponseDirectives,
  isTargeted: boolean,
  dateMs: number,
  c: Candidate,
): number | undefined {
  const { fields, route, status, rules } = c
  const explicit = said.sMaxage ?? said.maxAge
  if (explicit !== undefined) return explicit * 1_000
  if (!isTargeted && fields.has('expires')) {
    // Several lines are no date, and no date means stale.
    const expires = parseHttpDate(fields.get('expires'), c.receivedWall)
    return expires === undefined ? 0 : Math.max(0, expires - dateMs)
  }
  if (said.noCache === true) return rules.isRfc ? 0 : undefined
  const mayAssume = HEURISTIC.has(status) || said.public
  if (route.ttlMs !== undefined && BY_ROUTE.has(status)) return route.ttlMs
  if (route.negativeTtlMs !== undefined && (status === 404 || status === 410)) return route.negativeTtlMs
  const modified = parseHttpDate(fields.get('last-modified'), c.receivedWall)
  if (route.heuristic && mayAssume && modified !== undefined) {
    return Math.min(HEURISTIC_MOST_MS, Math.max(0, (dateMs - modified) * HEURISTIC_SHARE))
  }
  // Without a life it is stale at once, but can be confirmed.
  return rules.isRfc && mayAssume && (fields.has('etag') || modified !== undefined) ? 0 : undefined
}

function secondsOr(seconds: number | undefined, ms: number): number {
  return seconds === undefined ? ms : seconds * 1_000
}

function listed(value: boolean | readonly string[]): readonly string[] {
  return typeof value === 'boolean' ? [] : value
}
