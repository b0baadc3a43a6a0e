import { sleep } from '../base/clock.ts'
import { HoldfastError } from '../base/errors.ts'
import type { Cache } from '../cache/cache.ts'
import type { LoadContext } from '../cache/options.ts'
import { type BoundedRead, readBounded, resumed } from './bounded-read.ts'
import { type Answer, headerOf, keepAnswer } from './outbound-answer.ts'
import type { OutboundStats } from './outbound-events.ts'
import { upstreamFailureEvents } from './outbound-events.ts'
import { type FailureKind, isJson, throttleOf, UpstreamFailure } from './outbound-failure.ts'
import type { OutboundAnswer } from './outbound-options.ts'
import type {
  OutboundFetch,
  OutboundInit,
  OutboundReply,
  OutboundRequest,
  ReadRequest,
} from './outbound-request.ts'
import type { Route } from './outbound-routes.ts'
import { unpackBody } from './stored-body.ts'

export interface LoadParts {
  readonly send: OutboundFetch
  readonly cache: Cache
  readonly route: Route
  readonly request: ReadRequest
  readonly asked: () => OutboundRequest
  readonly key: string
  readonly counts: { -readonly [Name in keyof OutboundStats]: number }
}

const STORABLE = new Set([200, 203, 204])

/**
 * One caller's side of a load: fetches when the cache says so, and keeps what cannot go through the
 * cache (a body that is too large, what failed) for the caller whose load it was.
 */
export class OutboundLoad {
  readonly id: string
  /** What its own fetch failed with. */
  failure: UpstreamFailure | undefined
  /** Status of the answer to its own fetch, 304 included. */
  status: number | undefined
  readonly #parts: LoadParts
  #large:
    | { readonly reply: OutboundReply; readonly read: Exclude<BoundedRead, { bytes: Buffer }> }
    | undefined
  #isOver = false

  constructor(parts: LoadParts) {
    this.#parts = parts
    this.id = parts.cache.core.random.id()
  }

  /** The loader. @throws UpstreamFailure */
  async run(context: LoadContext<Answer>): Promise<Answer> {
    try {
      return await this.#run(context)
    } catch (error) {
      const { route, counts } = this.#parts
      if (error instanceof UpstreamFailure) {
        this.failure = error
        counts.upstreamFailures++
        if (upstreamFailureEvents.active) {
          upstreamFailureEvents.publish({ route: route.name, kind: error.kind, status: error.status })
        }
      }
      throw error
    }
  }

  /** The body that was too large to go through the cache, once, for the caller whose load it was. */
  takeLarge(): ReadableStream<Uint8Array> | undefined {
    const large = this.#large
    this.#large = undefined
    return large && resumed(large.read.read, large.read.rest)
  }

  /** The caller has his answer: what comes later has nobody to go to. */
  end(): void {
    this.#isOver = true
    this.#drop()
  }

  async #run(context: LoadContext<Answer>): Promise<Answer> {
    const { route, request, cache } = this.#parts
    const older = context.stale?.value
    await this.#turn(context, older !== undefined)
    const validators = older && route.revalidate ? validatorsOf(older) : undefined
    const { reply, read } = await this.#fetch(context.signal, validators)
    this.status = reply.status
    const at = cache.core.clock.wall()
    if (reply.status === 304 && validators && older) return this.#renewed(context, older, reply, at)

    const body = 'bytes' in read ? read.bytes : undefined
    const throttle = throttleOf(reply.status, body ?? Buffer.alloc(0))
    await this.#heed(reply, throttle && { pauseMs: throttle.pauseMs ?? route.throttlePauseMs })
    if (body === undefined) this.#keepLarge(reply, read as Exclude<BoundedRead, { bytes: Buffer }>)

    const failed = (kind: FailureKind): UpstreamFailure =>
      new UpstreamFailure(kind, route.name, keepAnswer(reply, body, { id: this.id, at, ttl: 0 }))
    if (throttle) throw failed('throttled')
    if (reply.status >= 500 || route.failures.has(reply.status)) throw failed('status')
    const isGood = STORABLE.has(reply.status)
    if (isGood && body && !isExpected(route, request, reply, body)) throw failed('content')

    const ttl =
      body === undefined ? 0 : this.#life(isGood ? route.ttlMs : (route.negative.get(reply.status) ?? 0))
    const answer = keepAnswer(reply, body, { id: this.id, at, ttl })
    const tags = ttl === 0 ? undefined : this.#tags(answer)
    if (tags === undefined) {
      // The upstream has said otherwise: what was kept from before is no longer its word.
      if (older) await cache.delete(this.#parts.key, { wait: 'commit' }).catch(() => false)
      return context.skip(body === undefined ? answer : { ...answer, ttl: 0 })
    }
    context.tag(...tags)
    if (isGood) context.ttl(ttl)
    else context.ttl(ttl, 0)
    return answer
  }

  /** Waits for a turn; not at all while a stale answer is at hand. */
  async #turn(context: LoadContext<Answer>, hasStale: boolean): Promise<void> {
    const { route, asked } = this.#parts
    if (!route.limiter) return
    try {
      await route.limiter.acquire({
        id: route.limiterId?.(asked()),
        signal: context.signal,
        ...(hasStale && { maxWait: 0 }),
      })
    } catch (cause) {
      if (cause instanceof HoldfastError) throw new UpstreamFailure('quota', route.name, undefined, cause)
      throw cause
    }
  }

  /** Tells all processes what the answer says about the quota. */
  async #heed(reply: OutboundReply, throttle: { pauseMs: number } | undefined): Promise<void> {
    const { route, asked } = this.#parts
    if (!route.limiter) return
    const call = { id: route.limiterId?.(asked()) }
    const isTimed = reply.headers.get('retry-after') !== null
    const heard = route.limiter.observe(reply.headers, call)
    if (throttle === undefined) return
    await heard
    if (!isTimed) {
      await route.limiter.observe({ 'retry-after': String(Math.ceil(throttle.pauseMs / 1_000)) }, call)
    }
  }

  async #fetch(
    signal: AbortSignal,
    validators: Record<string, string> | undefined,
  ): Promise<{ reply: OutboundReply; read: BoundedRead }> {
    const { send, route, request, cache, counts } = this.#parts
    const { clock } = cache.core
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const finished = new AbortController()
    let isLate = false
    const late = sleep(clock, route.hardMs, finished.signal).then(
      () => {
        isLate = true
        controller.abort()
        throw new Error('the upstream took too long')
      },
      // The fetch was first.
      () => new Promise<never>(() => undefined),
    )
    try {
      counts.fetches++
      const work = async () => {
        const reply = await send(request.url.href, initOf(request, controller.signal, validators))
        return { reply, read: await readBounded(reply, route.maxBodyBytes) }
      }
      // A fetch that does not heed its signal is late all the same.
      return await Promise.race([work(), late])
    } catch (cause) {
      throw new UpstreamFailure(isLate ? 'timeout' : 'network', route.name, undefined, cause)
    } finally {
      finished.abort()
      signal.removeEventListener('abort', onAbort)
    }
  }

  #renewed(context: LoadContext<Answer>, older: Answer, reply: OutboundReply, at: number): Answer {
    void this.#heed(reply, undefined)
    const ttl = this.#life(this.#parts.route.ttlMs)
    const news = keepAnswer(reply, undefined, { id: this.id, at, ttl }).headers
    const names = new Set(news.map(([name]) => name))
    const headers = [...older.headers.filter(([name]) => !names.has(name) && name !== 'age'), ...news]
    const answer = { ...older, id: this.id, at, ttl, headers }
    const tags = this.#tags(answer)
    if (tags === undefined) return context.skip(answer)
    context.tag(...tags)
    context.ttl(ttl)
    return answer
  }

  #life(ttlMs: number): number {
    const { jitter } = this.#parts.route
    return jitter === 0 ? ttlMs : Math.round(ttlMs * (1 - jitter * this.#parts.cache.core.random.float()))
  }

  /** Undefined: they could not be told, so the answer must not be kept, nothing could invalidate it. */
  #tags(answer: Answer): readonly string[] | undefined {
    const { route, asked } = this.#parts
    if (!route.tagsFrom) return []
    try {
      return route.tagsFrom(shown(answer), asked())
    } catch {
      return undefined
    }
  }

  #keepLarge(reply: OutboundReply, read: Exclude<BoundedRead, { bytes: Buffer }>): void {
    this.#parts.counts.tooLarge++
    this.#large = { reply, read }
    if (this.#isOver) this.#drop()
  }

  #drop(): void {
    this.#large?.read.rest.cancel().catch(() => undefined)
    this.#large = undefined
  }
}

export function initOf(
  request: ReadRequest,
  signal: AbortSignal | undefined,
  more: Record<string, string> = {},
): OutboundInit {
  const { from } = request
  return {
    ...(from && { redirect: from.redirect }),
    ...(request.init as object),
    method: request.method,
    headers: { ...Object.fromEntries(request.fields), ...more },
    body: request.body ?? undefined,
    signal,
  }
}

function validatorsOf(older: Answer): Record<string, string> | undefined {
  const etag = headerOf(older, 'etag')
  const modified = headerOf(older, 'last-modified')
  if (etag === undefined && modified === undefined) return undefined
  return {
    ...(etag !== undefined && { 'if-none-match': etag }),
    ...(modified !== undefined && { 'if-modified-since': modified }),
  }
}

/** A page for people where a program asked for JSON is a gateway's or a login's, not the API's. */
function isExpected(route: Route, request: ReadRequest, reply: OutboundReply, body: Buffer): boolean {
  if (route.expect === 'any' || reply.status === 204 || request.method === 'HEAD') return true
  const type = (reply.headers.get('content-type') ?? '').toLowerCase()
  if (route.expect === 'json') return /[/+]json\b/.test(type) && isJson(body)
  return !(type.startsWith('text/html') && /\bjson\b/.test(request.fields.get('accept') ?? ''))
}

function shown(answer: Answer): OutboundAnswer {
  const text = (): string => unpackBody(answer).toString()
  return {
    status: answer.status,
    headers: new Headers(answer.headers as [string, string][]),
    text,
    json: () => JSON.parse(text()) as unknown,
  }
}
