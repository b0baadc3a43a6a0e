import { Closed, HoldfastError, InvalidOption, LoadTimeout } from '../base/errors.ts'
import type { CacheOptions } from '../cache/options.ts'
import { type Answer, named, toResponse } from './outbound-answer.ts'
import { headInTime } from './outbound-deadline.ts'
import { OutboundCounters, type OutboundStats } from './outbound-events.ts'
import { type FailureKind, UpstreamFailure } from './outbound-failure.ts'
import { carriesCredential, digestOf } from './outbound-key.ts'
import { initOf, OutboundLoad } from './outbound-load.ts'
import type { OutboundOptions } from './outbound-options.ts'
import {
  asGiven,
  askedOf,
  cacheModeOf,
  headOf,
  type OutboundFetch,
  type OutboundReply,
  type OutboundRequest,
  type ReadRequest,
  type RequestHead,
  readRequest,
} from './outbound-request.ts'
import { failureOf, type Plan, planOf, type Route } from './outbound-routes.ts'
import { Trip, told } from './outbound-trip.ts'

/** A fetch whose answers are kept by policy. */
export interface CachingFetch {
  (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** The cache's key for a request, for `cache.delete`, `expire` or `inspect`; undefined: it is not cached. */
  keyOf(input: string | URL | Request, init?: RequestInit): Promise<string | undefined>
  /** Counters by name of the route. */
  stats(): Readonly<Record<string, OutboundStats>>
}

/**
 * Policy caching for calls to other services, private and POST ones included: which answers are
 * kept, for how long and for whom is said here by route, not by the answers' own headers. A request
 * that no route matches goes to `fetch` as it is. Answers are real `Response`s; `Cache-Status`
 * (RFC 9211) tells where each came from, `X-Cache-Age` how old it is in seconds.
 *
 * @param fetch Node's, undici's, one of your own, or what has one: `hf.tokens(…)`
 *
 * Rejects as `fetch` does, when no stale answer may stand in; with LoadTimeout after
 * `timeout.hard`; with LimitExceeded when the limiter has no turn in time.
 * @throws InvalidOption
 */
export function outbound(
  fetch: OutboundFetch | { readonly fetch: OutboundFetch },
  options: OutboundOptions,
): CachingFetch {
  const send = typeof fetch === 'function' ? fetch : fetch?.fetch?.bind(fetch)
  if (typeof send !== 'function') {
    throw new InvalidOption('outbound() got no fetch', 'write outbound(fetch, { cache: hf.cache, routes })')
  }
  const caller = new Caller(send, options)
  return Object.assign(
    (input: string | URL | Request, init: RequestInit = {}) => caller.answer(input, init),
    {
      keyOf: (input: string | URL | Request, init: RequestInit = {}) => caller.keyOf(input, init),
      stats: () => caller.stats(),
    },
  )
}

/** What a look at a request shows: its key, or why it has none. */
type Sight = { readonly key: string; readonly asked: () => OutboundRequest } | { readonly why: string }

class Caller {
  readonly #send: OutboundFetch
  readonly #options: OutboundOptions
  readonly #plan: Plan
  readonly #counters = new Map<Route, OutboundCounters>()

  constructor(send: OutboundFetch, options: OutboundOptions) {
    this.#send = send
    this.#options = options
    this.#plan = planOf(options)
    for (const route of this.#plan.routes) this.#counters.set(route, new OutboundCounters())
  }

  async answer(input: string | URL | Request, init: RequestInit): Promise<Response> {
    const head = headOf(input, init)
    const route = this.#routeOf(head)
    if (route === undefined) return asResponse(await this.#send(head.url.href, asGiven(head)))
    const trip = new Trip(route, this.#counters.get(route)!, head, this.#options.cache.core.clock)
    if (route.invalidates) return this.#write(route, head, trip)
    const request = await readRequest(head)
    const sight = this.#look(route, request)
    if ('why' in sight) return this.#bypass(route, request, trip, sight.why)
    return this.#cached(route, request, sight.key, sight.asked, trip)
  }

  async keyOf(input: string | URL | Request, init: RequestInit): Promise<string | undefined> {
    const head = headOf(input, init)
    const route = this.#routeOf(head)
    if (route === undefined || route.invalidates) return undefined
    const sight = this.#look(route, await readRequest(head))
    return 'key' in sight ? sight.key : undefined
  }

  stats(): Readonly<Record<string, OutboundStats>> {
    return Object.fromEntries([...this.#counters].map(([{ name }, { counts }]) => [name, { ...counts }]))
  }

  #routeOf({ method, url }: RequestHead): Route | undefined {
    return this.#plan.routes.find((route) => route.matches(method, url))
  }

  #look(route: Route, request: ReadRequest): Sight {
    const { fields, init, from } = request
    if (request.body === undefined) return { why: 'body' }
    if (cacheModeOf(request) === 'no-store') return { why: 'no-store' }
    if ((init.redirect ?? from?.redirect ?? 'follow') !== 'follow') return { why: 'redirect' }
    if (CONDITIONS.some((name) => fields.has(name))) return { why: 'conditional' }
    const asked = askedOf(route.name, request)
    const { identity } = route
    let who: string | undefined
    if (identity === 'credential') {
      if (!carriesCredential(request, route.rules)) return { why: 'no-credential' }
    } else {
      const stated =
        typeof identity === 'function' ? identity(asked()) : identity === 'shared' ? '' : identity.id
      if (stated === undefined) return { why: 'no-identity' }
      who = identity === 'shared' ? 'shared' : `id ${stated}`
    }
    const digest = digestOf(request, route.rules, who, this.#plan.secret)
    return { key: `${this.#plan.prefix}:${route.name}:${digest}`, asked }
  }

  async #cached(
    route: Route,
    request: ReadRequest,
    key: string,
    asked: () => OutboundRequest,
    trip: Trip,
  ): Promise<Response> {
    const { cache } = this.#options
    const { counts } = trip.counters
    const load = new OutboundLoad({ send: this.#send, cache, route, request, asked, key, counts })
    const begun = cache.core.clock.wall()
    const options = this.#cacheOptions(route, request, asked)
    try {
      if (isReload(request)) await cache.expire(key, { wait: 'commit' }).catch(() => false)
      let isStale = false
      const hear = (outcome: string) => {
        isStale = outcome === 'stale'
      }
      const answer = await cache.getOrSetHeard<Answer>(key, (context) => load.run(context), options, hear)
      if (answer.isCut) return await this.#large(route, request, answer, load, trip)
      if (isPersonal(answer) && answer.id !== load.id && route.identity !== 'credential') {
        return await this.#bypass(route, request, trip, 'refused-other')
      }
      const ageMs = answer.id === load.id ? 0 : Math.max(0, cache.core.clock.wall() - answer.at)
      const { outcome, status } = told(answer, load, { ageMs, begun, isStale })
      trip.end(outcome, answer.status, load.failure?.kind)
      return toResponse(answer, request.url, status, ageMs)
    } catch (error) {
      return await this.#failed(route, request, error, load, trip)
    } finally {
      load.end()
    }
  }

  #cacheOptions(route: Route, request: ReadRequest, asked: () => OutboundRequest): CacheOptions {
    const { cacheOptions: base, tags } = route
    const isReloaded = isReload(request)
    if (request.signal === undefined && typeof tags !== 'function' && !isReloaded) return base
    return {
      ...base,
      signal: request.signal,
      ...(typeof tags === 'function' && { tags: tags(asked()) }),
      ...(isReloaded && { timeout: { ...base.timeout, soft: false } }),
    }
  }

  /** Neither an answer nor a stale one: what the upstream did, as it did it. */
  async #failed(
    route: Route,
    request: ReadRequest,
    error: unknown,
    load: OutboundLoad,
    trip: Trip,
  ): Promise<Response> {
    // The instance is closing; the call to the upstream is none of its business.
    if (error instanceof Closed) return this.#bypass(route, request, trip, 'closed')
    const failure = failureOf(error, route.name)
    if (error instanceof UpstreamFailure && error.answer) {
      if (error.answer.isCut) return this.#large(route, request, error.answer, load, trip)
      trip.end('failure', error.answer.status, error.kind)
      const status = `holdfast; fwd=miss; fwd-status=${error.answer.status}; detail=${error.kind}`
      return toResponse(error.answer, request.url, status, 0)
    }
    trip.end('failure', undefined, failure?.kind ?? 'error')
    if (!(error instanceof UpstreamFailure)) throw error
    if (error.kind === 'timeout')
      throw new LoadTimeout(`the upstream did not answer within ${route.hardMs} ms`)
    throw error.cause
  }

  /** Too large for the cache: the caller who loaded it gets it as it comes, others fetch their own. */
  async #large(
    route: Route,
    request: ReadRequest,
    answer: Answer,
    load: OutboundLoad,
    trip: Trip,
  ): Promise<Response> {
    const body = load.takeLarge()
    if (body === undefined) return this.#bypass(route, request, trip, 'too-large')
    const headers = new Headers(answer.headers as [string, string][])
    headers.append('cache-status', `holdfast; fwd=miss; fwd-status=${answer.status}; detail=too-large`)
    trip.end('miss', answer.status, 'too-large')
    const { status, text: statusText } = answer
    return named(new Response(body, { status, statusText, headers }), request.url)
  }

  async #bypass(route: Route, request: ReadRequest, trip: Trip, why: string): Promise<Response> {
    const init = request.body === undefined ? asGiven(request) : initOf(request, request.signal)
    return this.#straight(route, request, init, trip, why)
  }

  /** To the upstream and back, within its limits. */
  async #straight(
    route: Route,
    head: RequestHead,
    init: ReturnType<typeof asGiven>,
    trip: Trip,
    why: string,
  ): Promise<Response> {
    try {
      const id = route.limiter && route.limiterId?.(bareRequest(route, head))
      await route.limiter?.acquire({ id, signal: init.signal })
      trip.counters.counts.fetches++
      const { clock } = this.#options.cache.core
      const reply = await headInTime(this.#send, head.url.href, init, { clock, ms: route.hardMs })
      await route.limiter?.observe(reply.headers, { id })
      trip.end('bypass', reply.status, why)
      return asResponse(reply)
    } catch (error) {
      trip.end('failure', undefined, error instanceof LoadTimeout ? 'timeout' : kindOf(error))
      throw error
    }
  }

  async #write(route: Route, head: RequestHead, trip: Trip): Promise<Response> {
    const { invalidates } = route
    const { cache } = this.#options
    const tags =
      typeof invalidates === 'function' ? invalidates(bareRequest(route, head)) : (invalidates ?? [])
    // The write has happened, or may have: a caller who saw this fail would do it again.
    const unacknowledged = () => {
      trip.counters.counts.unacknowledged++
    }
    let response: Response
    try {
      response = await this.#straight(route, head, asGiven(head), trip, 'write')
    } catch (error) {
      // Nobody knows whether it was done. What was kept may still stand in while the upstream is away.
      if (!isUnsent(error)) await cache.expireTag(tags).catch(unacknowledged)
      throw error
    }
    if (response.status < 400) await cache.invalidateTag(tags).catch(unacknowledged)
    return response
  }
}

/** A limiter that gave no turn: the upstream has seen nothing. */
const isUnsent = (error: unknown): boolean =>
  error instanceof HoldfastError && !(error instanceof LoadTimeout)

const kindOf = (error: unknown): FailureKind => (isUnsent(error) ? 'quota' : 'network')

/** A refusal of the credential: with a stated identity, callers of one key may bear different ones. */
const isPersonal = ({ status }: Answer): boolean => status === 401 || status === 403 || status === 407

const CONDITIONS = [
  'range',
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
  'if-range',
]

const isReload = (request: ReadRequest): boolean => cacheModeOf(request) === 'reload'

function bareRequest(route: Route, { method, url, init, from }: RequestHead): OutboundRequest {
  const headers = new Headers(init.headers ?? from?.headers)
  return { route: route.name, method, url: new URL(url), headers, body: new Uint8Array(0) }
}

/** What the given fetch answered, untouched: for its caller it is what that fetch returns. */
const asResponse = (reply: OutboundReply): Response => reply as Response
