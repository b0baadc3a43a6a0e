import type { Clock } from '../base/clock.ts'
import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { JudgedCache } from '../cache/judged.ts'
import type { CacheOptions, InvalidateOptions } from '../cache/options.ts'
import { Lru } from '../memory/lru.ts'
import { type Ask, type Pass, readRequest, tagsOf } from './ask.ts'
import { bodyOf } from './body.ts'
import { ALL_TAG, pathByQuery, targetOf, urlTag, variantKey } from './cache-key.ts'
import { CacheStatus, type Forwarded } from './cache-status.ts'
import { degraded, type HttpCounts, type HttpReplyEvent, newCounts, replies } from './counts.ts'
import { explain } from './explain.ts'
import { toRaw } from './fields.ts'
import { affectedTags } from './invalidation.ts'
import { isVariant, judge, mayStandIn, type Verdict } from './judgement.ts'
import { Load, type Surroundings, standIn, withoutOurs } from './load.ts'
import type { HttpReply, HttpRequest, HttpResponse, Next } from './message.ts'
import type { HttpCacheOptions, HttpExplanation, RouteOptions } from './options.ts'
import { respond } from './respond.ts'
import { type Route, Routes, refuseUnknownHttp } from './route.ts'
import type { Rules } from './storable.ts'
import { StoredResponse, storedCodec } from './stored-response.ts'
import { selectingValues, variantDigest } from './vary.ts'

/** Fields of Vary may come in layers: each slot says by what the next one is told apart. */
const MAX_SLOTS = 5
const META_BYTES = 256 * 1024
/** How long a URL whose answers turned out to be for one client only is not queued for. */
const ALONE_MS = 10_000
const ALONE_URLS = 10_000
const VARIANT_URLS = 10_000
const BACKOFF = '1s'

/**
 * A shared HTTP cache in front of an application.
 * @throws InvalidOption
 */
export function createHttpCache(options: HttpCacheOptions): HttpCache {
  return new HttpCache(options)
}

/** RFC 9111 over a Holdfast cache: see `createHttpCache`. */
export class HttpCache {
  readonly #cache: HttpCacheOptions['cache']
  readonly #judged: JudgedCache
  readonly #clock: Clock
  readonly #rules: Rules
  readonly #routes: Routes
  readonly #status: CacheStatus
  readonly #around: Surroundings
  readonly #timeoutMs: number
  readonly #origin: { readonly scheme: 'http' | 'https'; readonly host: string } | undefined
  readonly #counts = newCounts()
  /** Keys whose last answer was for one client only, and until when that is remembered. */
  readonly #alone = new Lru<{ until: number }>({ maxEntries: ALONE_URLS, maxBytes: ALONE_URLS })
  /** Variants seen per primary key, to bound them. */
  readonly #variants = new Lru<Set<string>>({ maxEntries: VARIANT_URLS, maxBytes: VARIANT_URLS })
  readonly #maxVariants: number

  /** @internal Use `createHttpCache`. */
  constructor(options: HttpCacheOptions) {
    refuseUnknownHttp(options)
    const { cache, profile = 'safe', cacheStatus = 'holdfast', showKey = false, allowVary = [] } = options
    if (profile !== 'safe' && profile !== 'rfc') {
      throw new InvalidOption('profile is not one that is known', `use 'safe' or 'rfc'`)
    }
    if (typeof cache?.getOrSet !== 'function') {
      throw new InvalidOption('createHttpCache() was given no cache', 'give cache: hf.cache')
    }
    this.#cache = cache
    this.#judged = new JudgedCache(cache)
    this.#clock = cache.core.clock
    this.#rules = {
      isRfc: profile === 'rfc',
      allowVary: new Set(allowVary.map((name) => name.toLowerCase())),
    }
    const { cache: _, profile: __, cacheStatus: ___, showKey: ____, allowVary: _____, ...rest } = options
    const { keep = '1h', timeout = '30s', maxVariants = 64, origin, ...defaults } = rest
    if (!(Number.isInteger(maxVariants) && maxVariants > 0)) {
      throw new InvalidOption('maxVariants is not a whole number above 0', 'give for example 64')
    }
    this.#maxVariants = maxVariants
    this.#routes = new Routes(defaults, this.#rules.isRfc)
    this.#status = new CacheStatus(cacheStatus, showKey)
    this.#timeoutMs = toMs(timeout, 'timeout')
    this.#origin = origin === undefined ? undefined : originOf(origin)
    this.#around = {
      rules: this.#rules,
      status: this.#status,
      keepMs: toMs(keep, 'keep'),
      now: () => cache.core.store.serverNow(),
      admits: (ask, names, values) => this.#admits(ask, names, values),
      drop: (key) => this.#drop(key),
      count: (what) => {
        this.#counts[what]++
        if (what === 'staleIfError' || what === 'cut')
          degraded.publish({ what: what === 'cut' ? 'cut' : 'stale-if-error', error: undefined })
      },
    }
  }

  /**
   * The reply to a request: from the cache, or from `next` and then kept for others. Rejects only
   * with what `next` or a function among the options threw. `options` is to be one object per
   * route, made once.
   * @throws InvalidOption for an option that is none, at the route's first request
   */
  handle(request: HttpRequest, next: Next, options?: RouteOptions): Promise<HttpReply> {
    try {
      const route = this.#routes.of(options)
      const ask = readRequest(request, route, this.#rules)
      if (ask.kind === 'pass') return this.#pass(ask, next)
      return this.#fromMemory(ask) ?? this.#answer(ask, next)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Drops all that is stored under a URL: every variant, identity, and both schemes.
   * @param url absolute, or a path if `origin` was given
   * @throws InvalidOption, NotAcknowledged
   */
  async purge(
    url: string,
    options: { soft?: boolean | undefined } & RouteOptions & InvalidateOptions = {},
  ): Promise<void> {
    const { soft = false, wait, ...route } = options
    const tag = this.#tagOf(url, route)
    this.#counts.invalidations++
    if (soft) await this.#cache.expireTag(tag, { wait })
    else await this.#cache.invalidateTag(tag, { wait })
  }

  /**
   * Drops all responses with one of these tags: from Surrogate-Key, Cache-Tag or the route. The
   * same as `cache.invalidateTag`; values cached under the tag go too. `soft`: they become stale.
   * @throws InvalidKey, NotAcknowledged
   */
  async purgeTag(
    tags: string | readonly string[],
    options: { soft?: boolean | undefined } & InvalidateOptions = {},
  ): Promise<void> {
    const { soft = false, wait } = options
    this.#counts.invalidations++
    if (soft) await this.#cache.expireTag(tags, { wait })
    else await this.#cache.invalidateTag(tags, { wait })
  }

  /** Drops every response of this cache, and nothing else. @throws NotAcknowledged */
  async purgeAll(options: { soft?: boolean | undefined } & InvalidateOptions = {}): Promise<void> {
    await this.purgeTag(ALL_TAG, options)
  }

  /** How this request would be answered now, and why. Asks nobody but the store, counts nothing. */
  explain(request: HttpRequest, options?: RouteOptions): Promise<HttpExplanation> {
    const ask = readRequest(request, this.#routes.of(options), this.#rules)
    return explain(
      ask,
      this.#judged,
      this.#rules,
      this.#around.now(),
      (one) => this.#settings(one),
      MAX_SLOTS,
    )
  }

  stats(): HttpCounts {
    return { ...this.#counts }
  }

  /** The path of a hit in process memory: synchronous, and no more objects than it needs. */
  #fromMemory(ask: Ask): Promise<HttpReply> | undefined {
    let key = ask.key
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      const entry = this.#judged.peek(this.#cache.nameOf(key))
      if (entry === undefined) return undefined
      const now = this.#around.now()
      const found = entry.memo?.value
      const fresh = entry.freshUntil > now
      const verdict = judge(found, { fresh, heldOff: false }, ask, this.#rules, now)
      if (!(found instanceof StoredResponse)) return undefined
      if (verdict === 'other') {
        key = nextSlot(ask, found)
        continue
      }
      if (verdict !== 'hit' && verdict !== 'stale') return undefined
      this.#judged.countHit(key, fresh)
      this.#counts[verdict === 'hit' ? 'hits' : 'stale']++
      const reply = respond(found, ask, now, this.#status.hit(key, verdict === 'hit' ? undefined : 'stale'))
      if (replies.active)
        this.#tell(verdict === 'hit' ? 'hit' : 'stale', 'memory', reply.status, this.#clock.mono())
      return Promise.resolve(reply)
    }
    return undefined
  }

  async #answer(ask: Ask, next: Next): Promise<HttpReply> {
    const began = this.#clock.mono()
    let key = ask.key
    let fwd: Forwarded = 'uri-miss'
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      const step = await this.#askSlot(ask, key, fwd, next, began)
      if ('reply' in step) return step.reply
      if ('alone' in step) return this.#alonePass(ask, next, step.alone, step.detail, began)
      key = nextSlot(ask, step.other)
      fwd = 'vary-miss'
    }
    return this.#alonePass(ask, next, 'vary-miss', 'slots', began)
  }

  /** One slot: the answer, or the response of another variant that says where to look next. */
  async #askSlot(
    ask: Ask,
    key: string,
    fwd: Forwarded,
    next: Next,
    began: number,
  ): Promise<
    | { readonly reply: HttpReply }
    | { readonly other: StoredResponse }
    | { readonly alone: Forwarded; readonly detail?: string }
  > {
    const load = new Load(ask, key, next, this.#around)
    load.fwd = fwd
    const mayLoad =
      !ask.isHead && !ask.directives.noStore && !ask.directives.onlyIfCached && !this.#isAlone(key)
    let verdict: Verdict | undefined
    const see = (
      found: unknown,
      sight: { fresh: boolean; heldOff: boolean },
    ): 'serve' | 'refresh' | 'load' => {
      verdict = judge(found, sight, ask, this.#rules, this.#around.now())
      if (verdict === 'validate' || verdict === 'request' || verdict === 'replace') {
        load.fwd = verdict === 'request' ? 'request' : verdict === 'replace' ? fwd : 'stale'
        load.older = found instanceof StoredResponse ? found : undefined
        return 'load'
      }
      if (verdict !== 'refresh') return 'serve'
      if (!ask.route.background) {
        // Without a background this request asks, unless another one does: then it has its stale reply.
        if (this.#judged.isLoading(this.#cache.nameOf(key))) return 'serve'
        load.fwd = 'stale'
        load.older = found as StoredResponse
        return 'load'
      }
      load.background = true
      return 'refresh'
    }
    if (!mayLoad) {
      const found = await this.#judged.look(key, this.#settings(ask))
      const what = found === undefined ? 'load' : see(found.value, found)
      if (found !== undefined && what !== 'load') return this.#found(ask, key, found.value, verdict!, began)
      if (ask.directives.onlyIfCached) return { reply: this.#gatewayTimeout(key, began) }
      return { alone: load.fwd, ...(ask.directives.noStore ? { detail: 'request-no-store' } : {}) }
    }
    let value: unknown
    try {
      const cached = this.#judged.getOrSet(key, (ctx) => load.run(ctx), see, this.#settings(ask))
      const first = await Promise.race([
        load.reply.then((reply) => ({ reply })),
        cached.then((found) => ({ found })),
      ])
      if ('reply' in first) {
        cached.catch(() => {})
        return { reply: this.#own(load, first.reply, began) }
      }
      value = first.found
    } catch (error) {
      // Its own failure is the request's; that of another one's load says nothing about this one.
      if (load.started && !load.background) {
        const reply = await load.reply
        return { reply: this.#own(load, reply, began) }
      }
      const now = this.#around.now()
      const { older } = load
      if (older && mayStandIn(older, ask, this.#rules, now, false)) {
        this.#around.count('staleIfError')
        return {
          reply: this.#told(
            standIn(older, ask, key, now, this.#status, load.fwd, undefined),
            'stale',
            'stale-if-error',
            began,
          ),
        }
      }
      void error
      return { alone: load.fwd }
    }
    // The loader may have answered while the value was on its way.
    if (load.started && !load.background) return { reply: this.#own(load, await load.reply, began) }
    if (!(value instanceof StoredResponse)) {
      this.#rememberAlone(key)
      return { alone: load.fwd }
    }
    if (verdict === undefined || verdict === 'validate' || verdict === 'request' || verdict === 'replace')
      return this.#joined(ask, key, value, load, began)
    return this.#found(ask, key, value, verdict, began)
  }

  /** The store had it. */
  #found(
    ask: Ask,
    key: string,
    value: unknown,
    verdict: Verdict,
    began: number,
  ): { reply: HttpReply } | { other: StoredResponse } | { alone: Forwarded; detail?: string } {
    const stored = value as StoredResponse
    if (verdict === 'other') return { other: stored }
    if (verdict === 'unfit') return { alone: 'bypass', detail: 'authorization' }
    const isHit = verdict === 'hit'
    this.#counts[isHit ? 'hits' : 'stale']++
    const detail = isHit ? undefined : verdict === 'refresh' ? 'stale-while-revalidate' : 'stale'
    const reply = respond(stored, ask, this.#around.now(), this.#status.hit(key, detail))
    return { reply: this.#told(reply, isHit ? 'hit' : 'stale', detail ?? 'store', began) }
  }

  /** The load of another request brought it. */
  #joined(
    ask: Ask,
    key: string,
    stored: StoredResponse,
    load: Load,
    began: number,
  ): { reply: HttpReply } | { other: StoredResponse } | { alone: Forwarded } {
    if (!isVariant(stored, ask)) return { other: stored }
    const now = this.#around.now()
    const verdict = judge(stored, { fresh: true, heldOff: false }, ask, this.#rules, now)
    // What must be asked for each time was asked for a moment ago, but not in this request's name.
    if (verdict !== 'hit' && verdict !== 'request') return { alone: load.fwd }
    this.#counts.collapsed++
    const line = this.#status.forwarded(key, { fwd: load.fwd, collapsed: true })
    const reply = respond(stored, ask, now, line)
    return { reply: this.#told(reply, 'collapsed', load.fwd, began) }
  }

  /** The answer to a request that asked the application itself, for the cache. */
  #own(load: Load, reply: HttpReply, began: number): HttpReply {
    this.#counts.misses++
    return this.#told(reply, 'miss', load.fwd, began)
  }

  /** Past the cache, though it was looked at. */
  async #alonePass(
    ask: Ask,
    next: Next,
    fwd: Forwarded,
    detail: string | undefined,
    began: number,
  ): Promise<HttpReply> {
    this.#counts.misses++
    const response = await next(ask.request, { background: false })
    const line = this.#status.forwarded(ask.key, { fwd, fwdStatus: response.status, detail })
    return this.#told(passed(response, line), 'miss', detail ?? fwd, began)
  }

  async #pass(pass: Pass, next: Next): Promise<HttpReply> {
    const began = this.#clock.mono()
    this.#counts.bypassed++
    const response = await next(pass.request, { background: false })
    let { detail } = pass
    if (pass.isUnsafe && response.status >= 200 && response.status < 400) {
      if (!(await this.#invalidateAfter(pass, response))) detail = 'invalidation-unconfirmed'
    }
    const line = this.#status.forwarded(undefined, { fwd: pass.fwd, fwdStatus: response.status, detail })
    return this.#told(passed(response, line), 'bypass', detail ?? pass.fwd, began)
  }

  /** RFC 9111, 4.4: done before the client hears of its success. False: not confirmed, journalled. */
  async #invalidateAfter(pass: Pass, response: HttpResponse): Promise<boolean> {
    const tags = affectedTags(pass.request, response, pass.route)
    if (tags.length === 0) return true
    this.#counts.invalidations++
    try {
      await this.#cache.invalidateTag(tags)
      return true
    } catch (error) {
      this.#counts.unconfirmed++
      if (degraded.active) degraded.publish({ what: 'invalidation-unconfirmed', error })
      return false
    }
  }

  async #drop(key: string): Promise<void> {
    try {
      await this.#cache.delete(key, { wait: 'commit' })
    } catch (error) {
      this.#counts.unconfirmed++
      if (degraded.active) degraded.publish({ what: 'invalidation-unconfirmed', error })
    }
  }

  #settings(ask: Ask): CacheOptions {
    return {
      codec: storedCodec,
      compress: false,
      tags: tagsOf(ask),
      timeout: { soft: false, hard: this.#timeoutMs },
      staleIfError: false,
      backoff: BACKOFF,
      maxValueBytes: ask.route.maxBodyBytes + META_BYTES,
    }
  }

  #admits(ask: Ask, names: readonly string[], values: readonly (string | null)[]): boolean {
    if (names.length === 0) return true
    const digest = variantDigest(names, values)
    const known = this.#variants.get(ask.key) ?? new Set<string>()
    if (!known.has(digest) && known.size >= this.#maxVariants) return false
    known.add(digest)
    this.#variants.set(ask.key, known, 1)
    return true
  }

  #isAlone(key: string): boolean {
    const known = this.#alone.get(key)
    return known !== undefined && known.until > this.#clock.mono()
  }

  #rememberAlone(key: string): void {
    this.#alone.set(key, { until: this.#clock.mono() + ALONE_MS }, 1)
  }

  #tagOf(url: string, options: RouteOptions): string {
    const route: Route = this.#routes.of(Object.keys(options).length === 0 ? undefined : options)
    const isPath = url.startsWith('/')
    if (isPath && this.#origin === undefined) {
      throw new InvalidOption(
        'purge() was given a path, and the cache does not know of which host',
        `give an absolute URL, or createHttpCache({ origin: 'https://…' })`,
      )
    }
    const request = isPath ? { method: 'GET', url, headers: {}, ...this.#origin } : absolute(url)
    const target = request && targetOf(request)
    if (!target) throw new InvalidOption('purge() was given what is no URL', `write 'https://host/path'`)
    return urlTag(target.host, pathByQuery(target.path, route.query))
  }

  #gatewayTimeout(key: string, began: number): HttpReply {
    const line = this.#status.forwarded(key, { fwd: 'uri-miss', detail: 'only-if-cached' })
    const headers = ['Content-Length', '0', 'Cache-Control', 'no-store']
    if (line !== '') headers.push('Cache-Status', line.replace('; fwd=uri-miss', ''))
    const reply = { status: 504, statusText: 'Gateway Timeout', headers, body: undefined }
    return this.#told(reply, 'miss', 'only-if-cached', began)
  }

  #told(reply: HttpReply, outcome: HttpReplyEvent['outcome'], reason: string, began: number): HttpReply {
    if (replies.active) this.#tell(outcome, reason, reply.status, began)
    return reply
  }

  #tell(outcome: HttpReplyEvent['outcome'], reason: string, status: number, began: number): void {
    replies.publish({ outcome, reason, status, ms: this.#clock.mono() - began })
  }
}

function nextSlot(ask: Ask, other: StoredResponse): string {
  const { varyNames } = other.meta
  return variantKey(ask.key, varyNames, selectingValues(ask.request.headers, varyNames))
}

function passed(response: HttpResponse, line: string): HttpReply {
  const headers = withoutOurs(toRaw(response.headers))
  if (line !== '') headers.push('Cache-Status', line)
  return { status: response.status, statusText: response.statusText, headers, body: bodyOf(response.body) }
}

function absolute(url: string): HttpRequest | undefined {
  const match = /^(https?):\/\/([^/?#]+)/i.exec(url)
  if (!match) return undefined
  const scheme = match[1]!.toLowerCase() === 'https' ? 'https' : 'http'
  return { method: 'GET', url: url.replace(/#.*$/, ''), headers: {}, scheme, host: match[2]! }
}

function originOf(origin: string): { scheme: 'http' | 'https'; host: string } {
  const request = absolute(origin)
  const target = request && targetOf(request)
  if (target?.path !== '/') {
    throw new InvalidOption('origin is not scheme and host', `write 'https://shop.example'`)
  }
  return { scheme: target.scheme, host: target.host }
}
