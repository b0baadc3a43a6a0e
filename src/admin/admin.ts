import { type Clock, systemClock } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import type { Rolling } from '../observe/rolling.ts'
import { asRefused, jsonResponse } from './answer.ts'
import { Audit } from './audit.ts'
import { readBody } from './body.ts'
import { Doorkeeper, type DoorOptions } from './doorkeeper.ts'
import type { Principal } from './principal.ts'
import { Refused } from './problem.ts'
import { checkQuery, checkTenant, type Match, matchRoute, needOf, type Route } from './route.ts'
import { ROUTES } from './routes/all.ts'
import { Services } from './services.ts'
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
  /**
   * Windows that are kept already, `createRolling(hf, …)`: they are shared and stay open.
   * @default ones of its own, `share` and `watch` on
   */
  readonly rolling?: Rolling | undefined
  /** Where it listens and whether it asks who is there: what check D20 judges. Set by `serveAdmin`. */
  readonly bound?: { readonly host: string; readonly authenticated: boolean } | undefined
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
  /** Ends streams, windows and listening; the instance stays open. Idempotent. */
  close(): Promise<void>
}

const OPTION_NAMES = [
  'holdfast',
  'basePath',
  'dashboard',
  'rolling',
  'bound',
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
  const services = new Services({ hf, clock, rolling: options.rolling, bound: options.bound })
  const began = clock.mono()

  const answer = async (request: Request, address: string | undefined): Promise<Response> => {
    const url = new URL(request.url)
    const file = page && pathOfFile(request.method, url.pathname, basePath)
    if (file !== undefined) return page!.answer(request, file)
    const visit: Visit = { request, url, address, principal: undefined, action: '', target: '', isRead: true }
    try {
      return await visited(visit)
    } catch (error) {
      await note(visit, error)
      throw error
    }
  }

  const visited = async (visit: Visit): Promise<Response> => {
    const { request, url, address } = visit
    const { method } = request
    visit.isRead = method === 'GET' || method === 'HEAD'
    visit.action = `${method.slice(0, 20)} of an unknown path`
    visit.target = url.pathname
    const principal = await door.admit(request, url, address)
    visit.principal = principal
    if (!url.pathname.startsWith(`${basePath}/`)) throw new Refused(404, 'There is nothing at this path.')
    const match = matchRoute(ROUTES, method, url.pathname.slice(basePath.length))
    visit.action = `${match.route.method} ${match.route.path}`
    visit.target = Object.values(match.params).join(' ')
    visit.isKnown = true
    const body = await run(match, visit, principal)
    return body instanceof Response ? body : jsonResponse(body, method === 'HEAD')
  }

  const run = async ({ route, params }: Match, visit: Visit, principal: Principal): Promise<object> => {
    const need = needOf(principal)
    need(route.permission)
    checkTenant(route, principal)
    const { request, url, address } = visit
    checkQuery(route, url.searchParams)
    // A stream that nobody reads must not stay open.
    if (route.answers === 'stream' && request.method === 'HEAD') return {}
    const body = await readBody(request)
    if (body !== undefined && route.body === undefined) throw new Refused(400, 'This path takes no body.')
    const { name: who, edition } = principal
    return route.handle({
      hf,
      principal,
      cache: principal.namespace === undefined ? hf.cache : hf.cache.namespace(principal.namespace),
      params,
      query: url.searchParams,
      body,
      audit,
      services,
      basePath,
      now: () => clock.wall(),
      uptimeSeconds: Math.floor((clock.mono() - began) / 1_000),
      record: (action, target, outcome, count) =>
        audit.write({ who, edition, action, target, outcome, count, address }),
      need,
    })
  }

  /** Whoever was refused, or whose change failed, stands in the log; a read of what is not there does not. */
  const note = async (visit: Visit, error: unknown): Promise<void> => {
    const refused = asRefused(error)
    const isFailure = refused === undefined || refused.problem.status >= 500
    const isAbsent = visit.isRead && visit.isKnown === true && refused?.problem.status === 404
    if (isAbsent || (isFailure && visit.isRead)) return
    const { principal, action, target, address } = visit
    await audit.write({
      who: principal?.name ?? 'unknown',
      edition: principal?.edition ?? 'none',
      action,
      target,
      outcome: isFailure ? 'failed' : 'refused',
      count: undefined,
      address,
    })
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
    close: () => services.close(),
  }
}

/** One request, as far as it is known yet: what the audit log tells of it when it is refused. */
interface Visit {
  readonly request: Request
  readonly url: URL
  readonly address: string | undefined
  principal: Principal | undefined
  action: string
  target: string
  isRead: boolean
  /** It fits a route. */
  isKnown?: boolean
}

/** Below the base path and outside the API, for those who only read: a file of the dashboard. */
function pathOfFile(method: string, pathname: string, basePath: string): string | undefined {
  if (method !== 'GET' && method !== 'HEAD') return undefined
  if (pathname !== basePath && !pathname.startsWith(`${basePath}/`)) return undefined
  const path = pathname.slice(basePath.length)
  return path === '/api' || path.startsWith('/api/') ? undefined : path
}
