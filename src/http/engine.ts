import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { JudgedCache } from '../cache/judged.ts'
import type { InvalidateOptions } from '../cache/options.ts'
import { type Pass, readRequest } from './ask.ts'
import { ALL_TAG } from './cache-key.ts'
import { CacheStatus } from './cache-status.ts'
import { degraded, type HttpCounts, newCounts, replies } from './counts.ts'
import { explain } from './explain.ts'
import { passOn } from './forwarding.ts'
import { affectedTags } from './invalidation.ts'
import { type Desk, fromMemory, Lookup, tell } from './lookup.ts'
import type { HttpReply, HttpRequest, HttpResponse, Next } from './message.ts'
import type { HttpCacheOptions, HttpExplanation, RouteOptions } from './options.ts'
import { Recollection } from './recollection.ts'
import { Routes, refuseUnknownHttp } from './route.ts'
import { Site } from './site.ts'

const DEFAULTS = { keep: '1h', timeout: '30s', maxVariants: 64, cacheStatus: 'holdfast' } as const

/** What the purges take. */
export interface PurgeOptions extends InvalidateOptions {
  /** Responses become stale instead of going, so that they can be confirmed or stand in. @default false */
  soft?: boolean | undefined
}

/**
 * A shared HTTP cache (RFC 9111, 9110, 5861, 9211, 9213) in front of an application.
 * @throws InvalidOption
 */
export function createHttpCache(options: HttpCacheOptions): HttpCache {
  return new HttpCache(options)
}

/** See `createHttpCache`. */
export class HttpCache {
  readonly #desk: Desk
  readonly #routes: Routes
  readonly #site: Site

  /** @internal Use `createHttpCache`. */
  constructor(options: HttpCacheOptions) {
    refuseUnknownHttp(options)
    const { cache, profile = 'safe', cacheStatus, showKey, allowVary, ...more } = options
    const { keep, timeout, maxVariants = DEFAULTS.maxVariants, origin, ...route } = more
    if (profile !== 'safe' && profile !== 'rfc') {
      throw new InvalidOption('profile is not one that is known', `use 'safe' or 'rfc'`)
    }
    if (typeof cache?.getOrSet !== 'function') {
      throw new InvalidOption('createHttpCache() was given no cache', 'give cache: hf.cache')
    }
    if (!(Number.isInteger(maxVariants) && maxVariants > 0)) {
      throw new InvalidOption('maxVariants is not a whole number above 0', 'give for example 64')
    }
    const isRfc = profile === 'rfc'
    this.#routes = new Routes(route, isRfc, ({ sensitive }) => {
      // Without keys nothing could be stored: better known now than by a hit rate of 0.
      if (sensitive) cache.core.codec.encode('', undefined, cache.settings({ sensitive }))
    })
    this.#site = new Site(origin)
    const { clock, store } = cache.core
    const recollection = new Recollection(clock, maxVariants)
    const counts = newCounts()
    this.#desk = {
      cache,
      judged: new JudgedCache(cache),
      clock,
      counts,
      recollection,
      rules: { isRfc, allowVary: new Set((allowVary ?? []).map((name) => name.toLowerCase())) },
      status: new CacheStatus(cacheStatus ?? DEFAULTS.cacheStatus, showKey ?? false),
      keepMs: toMs(keep ?? DEFAULTS.keep, 'keep'),
      timeoutMs: toMs(timeout ?? DEFAULTS.timeout, 'timeout'),
      now: () => store.serverNow(),
      wall: () => clock.wall(),
      admits: (ask, names, values) => recollection.admits(ask, names, values),
      drop: (key) => this.#confirmed(() => cache.delete(key, { wait: 'commit' })).then(() => undefined),
      count(what) {
        counts[what]++
        if ((what === 'staleIfError' || what === 'cut') && degraded.active) {
          degraded.publish({ what, error: undefined })
        }
      },
    }
  }

  /**
   * The reply to a request: from the cache, or from `next` and then kept for others. Rejects only
   * with what `next` or a function among the options threw. `options` is one object per route, made
   * once: it is read at the route's first request.
   * @throws InvalidOption, ConfigError
   */
  handle(request: HttpRequest, next: Next, options?: RouteOptions): Promise<HttpReply> {
    try {
      const ask = readRequest(request, this.#routes.of(options), this.#desk.rules)
      if (ask.kind === 'pass') return this.#pass(ask, next)
      const held = fromMemory(this.#desk, ask)
      return held ? Promise.resolve(held) : new Lookup(this.#desk, ask, next).answer()
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The reply out of this process's memory, at once and without a promise; undefined: ask `handle`.
   * @throws as `handle`
   */
  recall(request: HttpRequest, options?: RouteOptions): HttpReply | undefined {
    const ask = readRequest(request, this.#routes.of(options), this.#desk.rules)
    return ask.kind === 'pass' ? undefined : fromMemory(this.#desk, ask)
  }

  /**
   * Drops all that is stored under a URL: every variant and identity, of http and https.
   * @param url absolute, or a path if `origin` was given
   * @param route the options of the route, where its `query` makes one URL of several
   * @throws InvalidOption, NotAcknowledged
   */
  async purge(url: string, options: PurgeOptions = {}, route?: RouteOptions): Promise<void> {
    await this.purgeTag(this.#site.tagOf(url, this.#routes.of(route)), options)
  }

  /**
   * Drops all responses with one of these tags: of the route, Surrogate-Key or Cache-Tag. Values
   * that the cache holds under the tag go too: it is the same as `cache.invalidateTag`.
   * @throws InvalidKey, NotAcknowledged
   */
  async purgeTag(tags: string | readonly string[], options: PurgeOptions = {}): Promise<void> {
    const { soft = false, wait } = options
    const { cache, counts } = this.#desk
    counts.invalidations++
    await (soft ? cache.expireTag(tags, { wait }) : cache.invalidateTag(tags, { wait }))
  }

  /** Drops every response, and nothing else. @throws NotAcknowledged */
  async purgeAll(options: PurgeOptions = {}): Promise<void> {
    await this.purgeTag(ALL_TAG, options)
  }

  /** How this request would be answered now, and why. Asks nobody but the store, and counts nothing. */
  async explain(request: HttpRequest, options?: RouteOptions): Promise<HttpExplanation> {
    return explain(this.#desk, readRequest(request, this.#routes.of(options), this.#desk.rules))
  }

  /** What was counted since the start of the process. */
  stats(): HttpCounts {
    return { ...this.#desk.counts }
  }

  /** A request that the cache has no answer to. */
  async #pass(pass: Pass, next: Next): Promise<HttpReply> {
    const { clock, counts, status } = this.#desk
    const began = clock.mono()
    counts.bypassed++
    const response = await next(pass.request, { background: false })
    let { detail } = pass
    if (pass.isUnsafe && response.status >= 200 && response.status < 400) {
      if (!(await this.#invalidate(pass, response))) detail = 'invalidation-unconfirmed'
    }
    const line = status.forwarded(undefined, { fwd: pass.fwd, fwdStatus: response.status, detail })
    const reply = passOn(response, line)
    if (replies.active) tell(this.#desk, reply, 'bypass', detail ?? pass.fwd, began)
    return reply
  }

  /** RFC 9111, 4.4: before the client hears of its success. False: not confirmed, but journalled. */
  async #invalidate(pass: Pass, response: HttpResponse): Promise<boolean> {
    const tags = affectedTags(pass.request, response, pass.route)
    if (tags.length === 0) return true
    this.#desk.counts.invalidations++
    return this.#confirmed(() => this.#desk.cache.invalidateTag(tags))
  }

  async #confirmed(act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act()
      return true
    } catch (error) {
      this.#desk.counts.unconfirmed++
      if (degraded.active) degraded.publish({ what: 'invalidation-unconfirmed', error })
      return false
    }
  }
}
