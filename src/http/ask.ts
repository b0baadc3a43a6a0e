import { type RequestDirectives, requestDirectives } from './cache-control.ts'
import {
  ALL_TAG,
  identityPart,
  pathByQuery,
  primaryKey,
  shapingPart,
  type Target,
  targetOf,
  urlTag,
} from './cache-key.ts'
import type { Forwarded } from './cache-status.ts'
import { requestField } from './fields.ts'
import type { HeaderRecord, HttpRequest } from './message.ts'
import type { Route } from './route.ts'
import type { Rules } from './storable.ts'

/** Methods that change nothing (IANA HTTP Method Registry): every other one, known or not, may. */
const SAFE_METHODS = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'REPORT',
  'SEARCH',
  'QUERY',
  'PRI',
])

/** A request that may be answered from the cache. */
export interface Ask {
  readonly kind: 'lookup'
  readonly request: HttpRequest
  readonly route: Route
  readonly target: Target
  readonly key: string
  /** Path and the part of the query that counts. */
  readonly path: string
  readonly directives: RequestDirectives
  readonly hasAuthorization: boolean
  readonly hasIdentity: boolean
  readonly isHead: boolean
}

/** A request that goes on to the application. */
export interface Pass {
  readonly kind: 'pass'
  readonly request: HttpRequest
  readonly route: Route
  readonly fwd: Forwarded
  readonly detail: string | undefined
  /** Its success invalidates what is stored. */
  readonly isUnsafe: boolean
}

/** What one profile stored may not be what the other would: they do not share. */
const SAFE_KIND = 'http'
const RFC_KIND = 'httprfc'

const NO_DIRECTIVES: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAge: undefined,
  minFresh: undefined,
  maxStale: undefined,
}

/** What is to be done with a request, as far as it can be said without looking. */
export function readRequest(request: HttpRequest, route: Route, rules: Rules): Ask | Pass {
  const { method, headers } = request
  if (method !== 'GET' && method !== 'HEAD') {
    const isUnsafe = !SAFE_METHODS.has(method)
    return { kind: 'pass', request, route, fwd: 'method', detail: undefined, isUnsafe }
  }
  if (!route.enabled) return bypass(request, route, 'disabled')
  if (hasBody(headers)) return bypass(request, route, 'request-body')
  if (headers.upgrade !== undefined) return bypass(request, route, 'upgrade')
  // Other conditions are for the application: a cache cannot tell what it would have answered.
  if (headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined)
    return bypass(request, route, 'condition')
  const target = targetOf(request)
  if (target === undefined) return bypass(request, route, 'target')

  let parts = ''
  let hasIdentity = false
  if (route.identity !== undefined) {
    const identity = route.identity(request)
    if (identity === undefined) return bypass(request, route, 'no-identity')
    hasIdentity = true
    parts = identityPart(String(identity))
  }
  const hasAuthorization = headers.authorization !== undefined
  if (!rules.isRfc) {
    if (!hasIdentity && headers.cookie !== undefined) return bypass(request, route, 'cookie')
    if (
      headers['x-http-method-override'] !== undefined ||
      headers['x-method-override'] !== undefined ||
      headers['x-http-method'] !== undefined
    ) {
      return bypass(request, route, 'method-override')
    }
    parts += shapingPart(headers)
  }
  const path = pathByQuery(target.path, route.query)
  return {
    kind: 'lookup',
    request,
    route,
    target,
    key: primaryKey(rules.isRfc ? RFC_KIND : SAFE_KIND, target, path, parts),
    path,
    directives: directivesOf(request, route),
    hasAuthorization,
    hasIdentity,
    isHead: method === 'HEAD',
  }
}

/** The tags that an entry has for sure, known before it is read: so they are read with it. */
export function tagsOf(ask: Ask): readonly string[] {
  return [urlTag(ask.target.host, ask.path), ALL_TAG]
}

/** A stranger may not make us forget or ask again; he may say that he wants nothing stored. */
function directivesOf(request: HttpRequest, route: Route): RequestDirectives {
  const { headers } = request
  if (headers['cache-control'] === undefined && headers.pragma === undefined) return NO_DIRECTIVES
  const said = requestDirectives(requestField(headers, 'cache-control'), requestField(headers, 'pragma'))
  if (route.trusted(request)) return said
  return { ...NO_DIRECTIVES, noStore: said.noStore, onlyIfCached: said.onlyIfCached }
}

function hasBody(headers: HeaderRecord): boolean {
  if (headers['transfer-encoding'] !== undefined) return true
  const length = headers['content-length']
  return length !== undefined && length !== '0'
}

function bypass(request: HttpRequest, route: Route, detail: string): Pass {
  return { kind: 'pass', request, route, fwd: 'bypass', detail, isUnsafe: false }
}
