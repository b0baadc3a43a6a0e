import { type Clock, systemClock } from '../base/clock.ts'
import { HoldfastError, InvalidKey, InvalidOption } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import { Audit } from './audit.ts'
import { Doorkeeper, type DoorOptions } from './doorkeeper.ts'
import type { Principal } from './principal.ts'
import { Refused } from './problem.ts'
import { checkQuery, type Match, matchRoute, needOf, type Route, type RouteContext } from './route.ts'
import { cacheRoutes } from './routes/cache.ts'
import { operationRoutes } from './routes/operations.ts'
import { StaticFiles } from './static.ts'

/** Whom the administration lets in, and what it administers. */
export interface AdminOptions extends DoorOptions {
  /** The instance that is administered. */
  readonly holdfast: Holdfast
  /** Where it is mounted, e.g. `/admin`. @default '' */
  readonly basePath?: string | undefined
  /**
   * Whether the dashboard stands at `basePath/`; or the directory of one that was built elsewhere. Its
   * files hold no secret and are given to anybody; what it shows comes from the API, by token.
   * @default true
   */
  readonly dashboard?: boolean | string | undefined
  /** Hears of every change, reveal and refusal. Default silent. */
  readonly logger?: Logger | undefined
  /** For simulation. @default the system's */
  readonly clock?: Clock | undefined
}

/** Where a request came from: what a `Request` does not say. */
export interface Connection {
  /** Address of the peer, as the socket has it. */
  readonly address?: string | undefined
}

/** What `createAdmin` returns: a function from request to answer, and the routes that it knows. */
export interface Admin {
  /** Answers every request; never rejects. */
  fetch(request: Request, connection?: Connection): Promise<Response>
  readonly routes: readonly Route[]
}

const ROUTES: readonly Route[] = [...cacheRoutes, ...operationRoutes]
const OPTION_NAMES = [
  'holdfast',
  'basePath',
  'dashboard',
  'logger',
  'clock',
  'tokens',
  'jwt',
  'open',
  'limits',
]

/**
 * The administration of an instance as one function from request to answer, for any server. Without
 * `tokens` or `jwt` it must be told `open: true`, and then answers loopback alone.
 * @throws InvalidOption
 */
export function createAdmin(options: AdminOptions): Admin {
  refuseUnknown(options, OPTION_NAMES, 'createAdmin()')
  const { holdfast: hf, basePath = '', dashboard = true, logger, clock = systemClock } = options
  if (hf === undefined) throw new InvalidOption('createAdmin() got no instance', 'pass { holdfast: hf }')
  if (basePath !== '' && !/^(?:\/[\w.~-]+)+$/.test(basePath)) {
    throw new InvalidOption('basePath is no path', "write it with a slash before and none after: '/admin'")
  }
  const door = new Doorkeeper(hf, options)
  const audit = new Audit(hf, clock)
  const page = dashboard === false ? undefined : new StaticFiles(dashboard === true ? undefined : dashboard)
  const began = clock.mono()

  const answer = async (request: Request, address: string | undefined): Promise<Response> => {
    const url = new URL(request.url)
    const file = page && pathOfFile(request.method, url.pathname, basePath)
    if (file !== undefined) return page!.answer(request, file)
    const principal = await door.admit(request, url, address)
    if (!url.pathname.startsWith(`${basePath}/`)) throw new Refused(404, 'There is nothing at this path.')
    const match = matchRoute(ROUTES, request.method, url.pathname.slice(basePath.length))
    const record: RouteContext['record'] = (action, target, outcome, count) =>
      audit.write({
        who: principal.name,
        edition: principal.edition,
        action,
        target,
        outcome,
        count,
        address,
      })
    const body = await run(match, url.searchParams, principal, record)
    return json(200, body, request.method === 'HEAD')
  }

  const run = async (
    { route, params }: Match,
    query: URLSearchParams,
    principal: Principal,
    record: RouteContext['record'],
  ): Promise<object> => {
    const name = `${route.method} ${route.path}`
    const target = Object.values(params).join(' ')
    const need = needOf(principal)
    try {
      need(route.permission)
    } catch (refused) {
      await record(name, target, 'refused')
      throw refused
    }
    checkQuery(route, query)
    const cache = principal.namespace === undefined ? hf.cache : hf.cache.namespace(principal.namespace)
    try {
      return await route.handle({
        hf,
        principal,
        cache,
        params,
        query,
        audit,
        uptimeSeconds: Math.floor((clock.mono() - began) / 1_000),
        record,
        need,
      })
    } catch (error) {
      if (route.method !== 'GET') await record(name, target, error instanceof Refused ? 'refused' : 'failed')
      throw error
    }
  }

  return {
    routes: ROUTES,
    fetch: async (request, connection = {}) => {
      try {
        return await answer(request, connection.address)
      } catch (error) {
        const refused = asRefused(error)
        if (refused === undefined) logger?.error('admin request failed', { error: String(error) })
        return (refused ?? new Refused(500, 'Something went wrong here; the log says what.')).response()
      }
    },
  }
}

/** Below the base path and outside the API, for those who only read: a file of the dashboard. */
function pathOfFile(method: string, pathname: string, basePath: string): string | undefined {
  if (method !== 'GET' && method !== 'HEAD') return undefined
  if (pathname !== basePath && !pathname.startsWith(`${basePath}/`)) return undefined
  const path = pathname.slice(basePath.length)
  return path === '/api' || path.startsWith('/api/') ? undefined : path
}

function asRefused(error: unknown): Refused | undefined {
  if (error instanceof Refused) return error
  if (!(error instanceof HoldfastError)) return undefined
  if (error instanceof InvalidKey || error instanceof InvalidOption) return new Refused(400, error.message)
  // What is left of our own errors is Redis being away or refusing.
  return new Refused(503, error.message, { 'Retry-After': '1' })
}

function json(status: number, body: object, withoutBody: boolean): Response {
  const text = JSON.stringify(body)
  return new Response(withoutBody ? null : text, {
    status,
    headers: {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    },
  })
}
