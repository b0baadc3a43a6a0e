import type { Cache } from '../cache/cache.ts'
import type { Holdfast } from '../holdfast.ts'
import type { Audit, AuditEntry } from './audit.ts'
import type { Permission } from './permissions.ts'
import { allows } from './permissions.ts'
import type { Principal } from './principal.ts'
import { Refused } from './problem.ts'
import type { Services } from './services.ts'

/** What a route gets to answer with. */
export interface RouteContext {
  readonly hf: Holdfast
  readonly principal: Principal
  /** The part of the cache that the principal may see. */
  readonly cache: Cache
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Of a `POST`: parsed JSON, undefined where there is none. */
  readonly body: unknown
  readonly audit: Audit
  readonly services: Services
  /** Where it is mounted. */
  readonly basePath: string
  /** Wall clock, ms since 1970. */
  now(): number
  /** Since this administration was made. */
  readonly uptimeSeconds: number
  /** Writes to the audit log what came of this request. */
  record(action: string, target: string, outcome: AuditEntry['outcome'], count?: number): Promise<void>
  /** @throws Refused (403) */
  need(permission: Permission): void
}

/** One request that the administration answers. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** `/api/v1/cache/key/:key`; each part is decoded for itself. */
  readonly path: string
  readonly permission: Permission
  readonly summary: string
  /** Names of query parameters, and what each says; any other is refused. */
  readonly query?: Readonly<Record<string, string>> | undefined
  /** Names of the fields of the body, and what each says; without it a body is refused. */
  readonly body?: Readonly<Record<string, string>> | undefined
  /** What it answers with. @default 'object' */
  readonly answers?: 'object' | 'array' | 'stream' | undefined
  /**
   * True: it keeps to the namespace of a tenant. What does not concerns the whole application, and is
   * refused to tenants.
   * @default false
   */
  readonly tenants?: boolean | undefined
  handle(context: RouteContext): Promise<object>
}

/** A route that fits a request, and what stands at the places of its names. */
export interface Match {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
}

/** @throws Refused 400 for a malformed path, 404, 405 with `Allow` */
export function matchRoute(routes: readonly Route[], method: string, pathname: string): Match {
  const parts = pathname.split('/')
  const allowed = new Set<string>()
  for (const route of routes) {
    const params = paramsOf(route.path.split('/'), parts)
    if (params === undefined) continue
    if (route.method === method || (method === 'HEAD' && route.method === 'GET')) return { route, params }
    allowed.add(route.method)
  }
  if (allowed.size === 0) throw new Refused(404, 'There is nothing at this path.')
  throw new Refused(405, 'This path does not take this method.', { Allow: [...allowed].join(', ') })
}

function paramsOf(pattern: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [i, piece] of pattern.entries()) {
    const part = parts[i]!
    if (!piece.startsWith(':')) {
      if (piece !== part) return undefined
    } else if (part === '') return undefined
    else params[piece.slice(1)] = decode(part)
  }
  return params
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Refused(400, 'The path holds a percent sign that encodes nothing.')
  }
}

/** @throws Refused (400) for a parameter that the route does not know or that stands there twice */
export function checkQuery(route: Route, query: URLSearchParams): void {
  const known = route.query ?? {}
  const seen = new Set<string>()
  for (const name of query.keys()) {
    if (!Object.hasOwn(known, name)) {
      const list = Object.keys(known).join(', ')
      throw new Refused(400, `This path takes ${list === '' ? 'no query' : `only ${list}`}.`)
    }
    if (seen.has(name)) throw new Refused(400, `${name} is given twice.`)
    seen.add(name)
  }
}

export function needOf(principal: Principal): RouteContext['need'] {
  return (permission) => {
    if (!allows(principal.edition, permission)) {
      throw new Refused(403, `The edition ${principal.edition} does not include ${permission}.`)
    }
  }
}

/** @throws Refused (403) for a tenant where a route concerns the whole application */
export function checkTenant(route: Route, principal: Principal): void {
  if (principal.namespace === undefined || route.tenants) return
  throw new Refused(403, 'This concerns the whole application, and this token one namespace of it.')
}
