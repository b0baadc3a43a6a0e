import { createSecretKey, type KeyObject } from 'node:crypto'
import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption, LoadTimeout } from '../base/errors.ts'
import { nearest, refuseUnknown } from '../base/options.ts'
import type { CacheOptions } from '../cache/options.ts'
import { bytes, listOrFunction, optionalFunction, share, strings } from './outbound-checks.ts'
import { type OutboundFailure, UpstreamFailure } from './outbound-failure.ts'
import { CREDENTIAL_HEADERS, CREDENTIAL_PARAMS, type KeyRules, NEUTRAL_HEADERS } from './outbound-key.ts'
import { compileMatch, type Match } from './outbound-match.ts'
import type { OutboundIdentity, OutboundOptions, OutboundPolicy, OutboundRoute } from './outbound-options.ts'

/** A route with every default filled in. */
export interface Route
  extends Pick<OutboundRoute, 'tags' | 'tagsFrom' | 'invalidates' | 'limiter' | 'limiterId'> {
  readonly name: string
  readonly matches: Match
  readonly rules: KeyRules
  readonly identity: OutboundIdentity
  readonly ttlMs: number
  readonly jitter: number
  readonly hardMs: number
  readonly throttlePauseMs: number
  /** Client errors that count as failures. */
  readonly failures: ReadonlySet<number>
  /** Life in ms by status of a client error. */
  readonly negative: ReadonlyMap<number, number>
  readonly expect: 'json' | 'any' | undefined
  readonly revalidate: boolean
  readonly maxBodyBytes: number
  /** One object per route, so that the cache checks and merges it once. */
  readonly cacheOptions: CacheOptions
}

const POLICY_NAMES = [
  'ttl',
  'stale',
  'jitter',
  'refreshAhead',
  'timeout',
  'staleIfError',
  'failures',
  'backoff',
  'negative',
  'expect',
  'revalidate',
  'sensitive',
  'l1',
  'maxBodyBytes',
] as const satisfies readonly (keyof OutboundPolicy)[]
const SHARED_NAMES = ['identity', 'ignoreHeaders', 'credentials', 'limiter', 'limiterId', 'throttlePause']
const ROUTE_NAMES = [
  ...POLICY_NAMES,
  ...SHARED_NAMES,
  'name',
  'match',
  'class',
  'params',
  'tags',
  'tagsFrom',
  'invalidates',
]
const OPTION_NAMES = [...SHARED_NAMES, 'cache', 'routes', 'classes', 'defaults', 'secret', 'prefix']

const MAX_BODY_BYTES = 4 * 1024 * 1024
/** Header fields, and what JSON adds to a body. */
const ENVELOPE_BYTES = 256 * 1024
const NEGATIVE = [404, 410]
/** About the credential, the moment or the rate: true for this request only. */
const NEVER_NEGATIVE = new Set([401, 407, 408, 425, 429])
const LEAST_SECRET_BYTES = 16

export interface Plan {
  readonly routes: readonly Route[]
  readonly prefix: string
  readonly secret: KeyObject | string
}

/** @throws InvalidOption naming the route and the word */
export function planOf(options: OutboundOptions): Plan {
  refuseUnknown(options, OPTION_NAMES, 'outbound()')
  const { cache, routes, classes = {}, defaults = {}, prefix = 'out' } = options
  if (typeof cache?.getOrSet !== 'function') {
    throw new InvalidOption('outbound() got no cache', 'write outbound(fetch, { cache: hf.cache, routes })')
  }
  if (!Array.isArray(routes) || routes.length === 0) {
    throw new InvalidOption(
      'outbound() got no routes',
      `write routes: [{ match: 'GET https://…', ttl: '5m' }]`,
    )
  }
  refuseUnknown(defaults, POLICY_NAMES, 'defaults')
  for (const [name, policy] of Object.entries(classes)) refuseUnknown(policy, POLICY_NAMES, `classes.${name}`)
  if (!/^[\w.:-]{1,64}$/.test(prefix)) {
    throw new InvalidOption('prefix is not a short plain name', `write prefix: 'out'`)
  }
  const secret = secretOf(options.secret)
  const seen = new Set<string>()
  const planned = routes.map((route, i) => {
    const where = `routes[${i}]`
    refuseUnknown(route, ROUTE_NAMES, where)
    const made = routeOf(route, options, where, secret !== undefined)
    if (seen.has(made.name)) {
      throw new InvalidOption(`${where} has the name of another route`, 'give each route its own name')
    }
    seen.add(made.name)
    return made
  })
  return { routes: planned, prefix, secret: secret ?? 'holdfast outbound' }
}

function routeOf(route: OutboundRoute, options: OutboundOptions, where: string, hasSecret: boolean): Route {
  const { methods, matches } = compileMatch(route.match, where)
  const name =
    route.name ?? `${methods.join('-')}:${route.match.replace(/^.*?:\/\//, '').replace(/[^\w./-]+/g, '_')}`
  if (!/^[\w.:/-]{1,160}$/.test(name)) {
    throw new InvalidOption(`${where}.name is not a plain name`, `write name: 'kiotviet:products'`)
  }
  const { classes = {}, defaults = {} } = options
  const named = route.class === undefined ? {} : classes[route.class]
  if (named === undefined) {
    const near = nearest(String(route.class), Object.keys(classes))
    throw new InvalidOption(
      `${where}.class is none of classes`,
      near ? `did you mean '${near}'?` : 'define it in classes',
    )
  }
  const policy: OutboundPolicy = { ...defined(defaults), ...defined(named), ...defined(route) }
  const timeout = { ...defaults.timeout, ...named.timeout, ...route.timeout }
  refuseUnknown(timeout, ['soft', 'hard'], `${where}.timeout`)
  const isWrite = route.invalidates !== undefined
  if (!isWrite && policy.ttl === undefined) {
    throw new InvalidOption(`${where} has no ttl`, `give it one, or a class that has one: ttl: '5m'`)
  }
  if (isWrite && (route.ttl !== undefined || route.class !== undefined)) {
    throw new InvalidOption(`${where} invalidates and has a ttl`, 'a route either caches or writes')
  }
  const identity = route.identity ?? options.identity ?? 'credential'
  if (!isWrite) checkIdentity(identity, where, hasSecret)
  if (policy.expect !== undefined && policy.expect !== 'json' && policy.expect !== 'any') {
    throw new InvalidOption(`${where}.expect is not one that is known`, `use 'json' or 'any'`)
  }
  const maxBodyBytes = bytes(policy.maxBodyBytes ?? MAX_BODY_BYTES, `${where}.maxBodyBytes`)
  const hard = timeout.hard ?? '30s'
  const failures = failuresOf(policy.failures, where)
  const negative = negativeOf(policy.negative, where)
  if ([...failures].some((status) => negative.has(status))) {
    throw new InvalidOption(`${where} keeps a status that is a failure`, 'name it in failures or in negative')
  }
  return {
    name,
    matches,
    rules: rulesOf(route, options, where),
    identity,
    ttlMs: toMs(policy.ttl ?? 0, `${where}.ttl`),
    jitter: share(policy.jitter, `${where}.jitter`),
    hardMs: Math.max(1, toMs(hard, `${where}.timeout.hard`)),
    throttlePauseMs: toMs(route.throttlePause ?? options.throttlePause ?? '60s', `${where}.throttlePause`),
    failures,
    negative,
    expect: policy.expect,
    revalidate: policy.revalidate ?? true,
    maxBodyBytes,
    tags: listOrFunction(route.tags, `${where}.tags`),
    tagsFrom: optionalFunction(route.tagsFrom, `${where}.tagsFrom`),
    invalidates: listOrFunction(route.invalidates, `${where}.invalidates`),
    limiter: route.limiter ?? options.limiter,
    limiterId: optionalFunction(route.limiterId ?? options.limiterId, `${where}.limiterId`),
    cacheOptions: {
      stale: policy.stale,
      refreshAhead: policy.refreshAhead,
      timeout: { soft: timeout.soft, hard },
      staleIfError: predicateOf(policy.staleIfError, name, where),
      backoff: policy.backoff,
      sensitive: policy.sensitive,
      l1: policy.l1,
      maxValueBytes: 2 * maxBodyBytes + ENVELOPE_BYTES,
      codec: 'json',
      jitter: 0,
      ...(Array.isArray(route.tags) && { tags: route.tags as readonly string[] }),
    },
  }
}

function checkIdentity(identity: unknown, where: string, hasSecret: boolean): void {
  const isText =
    typeof identity === 'object' && identity !== null && 'id' in identity && typeof identity.id === 'string'
  if (identity === 'shared' || isText || typeof identity === 'function') return
  if (identity !== 'credential') {
    throw new InvalidOption(
      `${where}.identity is not one that is known`,
      `use 'credential', 'shared', { id } or a function of the request`,
    )
  }
  if (!hasSecret) {
    throw new InvalidOption(
      `${where} keys its answers by the credential, and there is no secret to digest it with`,
      `give outbound() a secret of 16 characters or more, or say whom answers are for: identity: 'shared' | { id } | function`,
    )
  }
}

function rulesOf(route: OutboundRoute, options: OutboundOptions, where: string): KeyRules {
  if (route.params) refuseUnknown(route.params, ['keep', 'drop'], `${where}.params`)
  const lists = [options.credentials, route.credentials]
  for (const list of lists) if (list) refuseUnknown(list, ['headers', 'params'], `${where}.credentials`)
  const lower = (names: readonly string[]) => names.map((name) => name.toLowerCase())
  const headers = lists.flatMap((list) => strings(list?.headers, `${where}.credentials.headers`))
  const params = lists.flatMap((list) => strings(list?.params, `${where}.credentials.params`))
  const ignored = [options.ignoreHeaders, route.ignoreHeaders].flatMap((list) =>
    strings(list, `${where}.ignoreHeaders`),
  )
  const keep = route.params?.keep
  return {
    dropParams: new Set(strings(route.params?.drop, `${where}.params.drop`)),
    keepParams: keep && new Set(strings(keep, `${where}.params.keep`)),
    ignoreHeaders: new Set([...NEUTRAL_HEADERS, ...lower(ignored)]),
    credentialHeaders: new Set([...CREDENTIAL_HEADERS, ...lower(headers)]),
    credentialParams: new Set([...CREDENTIAL_PARAMS, ...params]),
  }
}

/** The failure that an error of the cache's load stands for; undefined: it is none of the upstream's. */
export function failureOf(error: unknown, route: string): OutboundFailure | undefined {
  if (error instanceof UpstreamFailure) return error
  if (error instanceof LoadTimeout) return { kind: 'timeout', route, status: undefined, cause: error }
  return undefined
}

function predicateOf(
  given: OutboundPolicy['staleIfError'],
  name: string,
  where: string,
): boolean | ((error: unknown) => boolean) {
  if (given !== undefined && typeof given !== 'boolean' && typeof given !== 'function') {
    throw new InvalidOption(
      `${where}.staleIfError is no boolean and no function`,
      'write (failure) => boolean',
    )
  }
  if (given === false) return false
  return (error) => {
    const failure = failureOf(error, name)
    return failure !== undefined && (typeof given === 'function' ? given(failure) : true)
  }
}

function failuresOf(given: OutboundPolicy['failures'], where: string): ReadonlySet<number> {
  if (given === undefined) return new Set()
  const isStatus = (status: unknown) =>
    Number.isInteger(status) && Number(status) >= 400 && Number(status) < 500
  if (!Array.isArray(given) || !given.every(isStatus)) {
    throw new InvalidOption(`${where}.failures is no list of client errors`, 'write failures: [401, 403]')
  }
  return new Set(given as readonly number[])
}

function negativeOf(given: OutboundPolicy['negative'], where: string): ReadonlyMap<number, number> {
  if (given === undefined) return new Map()
  const byStatus: readonly (readonly [number, Duration])[] =
    typeof given === 'object'
      ? Object.entries(given).map(([status, ttl]) => [Number(status), ttl])
      : NEGATIVE.map((status) => [status, given])
  const lives = new Map<number, number>()
  for (const [status, ttl] of byStatus) {
    if (!(status >= 400 && status < 500) || NEVER_NEGATIVE.has(status)) {
      throw new InvalidOption(
        `${where}.negative has a status that is never kept`,
        'give client errors other than 401, 407, 408, 425 and 429',
      )
    }
    lives.set(status, toMs(ttl, `${where}.negative`))
  }
  return lives
}

function secretOf(secret: unknown): KeyObject | undefined {
  if (secret === undefined) return undefined
  const material =
    typeof secret === 'string'
      ? Buffer.from(secret)
      : secret instanceof Uint8Array
        ? Buffer.from(secret)
        : undefined
  if (material === undefined || material.length < LEAST_SECRET_BYTES) {
    throw new InvalidOption('secret is too short', 'give 16 characters or more: openssl rand -base64 32')
  }
  return createSecretKey(material)
}

/** Words that are given as `undefined` are not given. */
function defined(policy: OutboundPolicy): OutboundPolicy {
  return Object.fromEntries(
    POLICY_NAMES.filter((name) => policy[name] !== undefined).map((name) => [name, policy[name]]),
  )
}
