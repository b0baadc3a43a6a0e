import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { HttpRequest } from './message.ts'
import type { HttpCacheOptions, RouteOptions } from './options.ts'

/** RouteOptions with every default filled in. */
export interface Route {
  readonly ttlMs: number | undefined
  readonly negativeTtlMs: number | undefined
  readonly staleMs: number
  readonly staleIfErrorMs: number
  readonly tags: (request: HttpRequest) => readonly string[]
  readonly invalidates: (request: HttpRequest) => readonly string[]
  readonly identity: ((request: HttpRequest) => string | undefined) | undefined
  readonly query: RouteOptions['query']
  readonly vary: readonly string[]
  readonly trusted: (request: HttpRequest) => boolean
  readonly maxBodyBytes: number
  readonly heuristic: boolean
  readonly background: boolean
  readonly enabled: boolean
  readonly sensitive: boolean
}

const ROUTE_NAMES = [
  'ttl',
  'negativeTtl',
  'stale',
  'staleIfError',
  'tags',
  'invalidates',
  'identity',
  'query',
  'vary',
  'trusted',
  'maxBodyBytes',
  'heuristic',
  'background',
  'enabled',
  'sensitive',
] as const satisfies readonly (keyof RouteOptions)[]

const CACHE_NAMES = [
  ...ROUTE_NAMES,
  'cache',
  'profile',
  'cacheStatus',
  'showKey',
  'keep',
  'timeout',
  'maxVariants',
  'allowVary',
  'origin',
] as const satisfies readonly (keyof HttpCacheOptions)[]

export const DEFAULT_MAX_BODY_BYTES = 2 * 1024 * 1024
const NO_TAGS: readonly string[] = []

/** @throws InvalidOption */
export function refuseUnknownHttp(options: HttpCacheOptions): void {
  refuseUnknown(options, CACHE_NAMES, 'createHttpCache()')
}

/** Routes by their options, each resolved once: options are made when a route is, not per request. */
export class Routes {
  readonly #defaults: RouteOptions
  readonly #isRfc: boolean
  readonly #known = new WeakMap<RouteOptions, Route>()
  readonly #check: (route: Route) => void
  readonly #base: Route

  /** @param check throws when a route cannot work */
  constructor(defaults: RouteOptions, isRfc: boolean, check: (route: Route) => void) {
    this.#check = check
    this.#defaults = defaults
    this.#isRfc = isRfc
    this.#base = resolve(defaults, isRfc)
    check(this.#base)
  }

  /** @throws InvalidOption */
  of(options: RouteOptions | undefined): Route {
    if (options === undefined) return this.#base
    let route = this.#known.get(options)
    if (route === undefined) {
      refuseUnknown(options, ROUTE_NAMES, 'a cached route')
      route = resolve(merge(this.#defaults, options), this.#isRfc)
      this.#check(route)
      this.#known.set(options, route)
    }
    return route
  }
}

function merge(base: RouteOptions, over: RouteOptions): RouteOptions {
  const merged: Record<string, unknown> = {}
  for (const name of ROUTE_NAMES) merged[name] = over[name] ?? base[name]
  return merged as RouteOptions
}

function resolve(o: RouteOptions, isRfc: boolean): Route {
  const { query, vary = [], trusted = isRfc, maxBodyBytes = DEFAULT_MAX_BODY_BYTES } = o
  if (!(Number.isInteger(maxBodyBytes) && maxBodyBytes >= 0)) {
    throw new InvalidOption('maxBodyBytes is not a whole number from 0 up', 'give bytes')
  }
  if (typeof query === 'object' ? !isPick(query) : query && query !== 'exact' && query !== 'sorted') {
    throw new InvalidOption('query is not one that is known', `use 'exact', 'sorted', { only } or { ignore }`)
  }
  if (!Array.isArray(vary) || !vary.every((name) => typeof name === 'string' && name !== '*')) {
    throw new InvalidOption('vary is not a list of field names', `write vary: ['Accept-Language']`)
  }
  return {
    ttlMs: o.ttl === undefined ? undefined : toMs(o.ttl, 'ttl'),
    negativeTtlMs: o.negativeTtl === undefined ? undefined : toMs(o.negativeTtl, 'negativeTtl'),
    staleMs: toMs(o.stale ?? 0, 'stale'),
    staleIfErrorMs: toMs(o.staleIfError ?? 0, 'staleIfError'),
    tags: names(o.tags, 'tags'),
    invalidates: names(o.invalidates, 'invalidates'),
    identity: o.identity,
    query,
    vary: vary.map((name) => name.toLowerCase()),
    trusted: typeof trusted === 'function' ? trusted : () => trusted,
    maxBodyBytes,
    heuristic: o.heuristic ?? isRfc,
    background: o.background ?? true,
    enabled: o.enabled ?? true,
    sensitive: o.sensitive ?? false,
  }
}

function isPick(query: object): boolean {
  const lists = Object.entries(query).filter(([name]) => name === 'only' || name === 'ignore')
  return lists.length === 1 && Object.keys(query).length === 1 && Array.isArray(lists[0]![1])
}

function names(given: RouteOptions['tags'], what: string): (request: HttpRequest) => readonly string[] {
  if (typeof given === 'function') return given
  if (given === undefined) return () => NO_TAGS
  if (!Array.isArray(given))
    throw new InvalidOption(`${what} is neither a list nor a function`, `write ${what}: ['products']`)
  return () => given
}
