import type { Clock } from '../base/clock.ts'
import type { Cache } from '../cache/cache.ts'
import type { JudgedCache } from '../cache/judged.ts'
import type { Judgement } from '../cache/load.ts'
import type { CacheOptions } from '../cache/options.ts'
import { type Ask, tagsOf } from './ask.ts'
import { variantKey } from './cache-key.ts'
import type { Forwarded } from './cache-status.ts'
import { type HttpReplyEvent, type MutableCounts, replies } from './counts.ts'
import { passOn } from './forwarding.ts'
import { isVariant, judge, mayStandIn, type Sight, type Verdict } from './judgement.ts'
import { Load, type Surroundings, standIn } from './load.ts'
import type { HttpReply, Next } from './message.ts'
import type { Recollection } from './recollection.ts'
import { respond } from './respond.ts'
import { StoredResponse, storedCodec } from './stored-response.ts'
import { selectingValues } from './vary.ts'

/** Fields of Vary may come in layers: what is in one slot says by what the next is told apart. */
export const MAX_SLOTS = 5
const META_BYTES = 256 * 1024
/** After a failed confirmation a stale answer is given without another try for this long. */
const BACKOFF = '1s'

/** What look-ups of one engine share. */
export interface Desk extends Surroundings {
  readonly cache: Cache
  readonly judged: JudgedCache
  readonly clock: Clock
  readonly counts: MutableCounts
  readonly recollection: Recollection
  readonly timeoutMs: number
}

/** How one slot ended: an answer, another variant's response, or "ask for yourself". */
type Step =
  | { readonly reply: HttpReply }
  | { readonly other: StoredResponse }
  | { readonly alone: Forwarded; readonly detail?: string | undefined }

/**
 * The answer to a request out of this process's memory, without a promise to wait for. Undefined:
 * somebody else has to be asked.
 */
export function fromMemory(desk: Desk, ask: Ask): HttpReply | undefined {
  let { key } = ask
  for (let slot = 0; slot < MAX_SLOTS; slot++) {
    const entry = desk.judged.peek(desk.recollection.nameOf(desk.cache, key))
    const found = entry?.memo?.value
    if (entry === undefined || !(found instanceof StoredResponse)) return undefined
    const now = desk.now()
    const fresh = entry.freshUntil > now
    const verdict = judge(found, { fresh, heldOff: false }, ask, desk.rules, now)
    if (verdict === 'other') {
      key = nextSlot(ask, found)
      continue
    }
    if (verdict !== 'hit' && verdict !== 'stale') return undefined
    desk.judged.countHit(key, fresh)
    desk.counts[verdict === 'hit' ? 'hits' : 'stale']++
    const reply = respond(found, ask, now, desk.status.hit(key, verdict === 'hit' ? undefined : 'stale'))
    if (replies.active) tell(desk, reply, verdict, 'memory', desk.clock.mono())
    return reply
  }
  return undefined
}

/** Where the response to this request would be, as far as `other`, which answers another, tells. */
export function nextSlot(ask: Ask, other: StoredResponse): string {
  const { varyNames } = other.meta
  return variantKey(ask.key, varyNames, selectingValues(ask.request.headers, varyNames))
}

export function settingsOf(ask: Ask, timeoutMs: number): CacheOptions {
  return {
    codec: storedCodec,
    // Most bodies that are worth it come compressed, and those that do not are wanted fast.
    compress: false,
    sensitive: ask.route.sensitive,
    tags: tagsOf(ask),
    timeout: { soft: false, hard: timeoutMs },
    staleIfError: false,
    backoff: BACKOFF,
    maxValueBytes: ask.route.maxBodyBytes + META_BYTES,
  }
}

/** One request that memory alone could not answer. */
export class Lookup {
  readonly #desk: Desk
  readonly #ask: Ask
  readonly #next: Next
  readonly #settings: CacheOptions
  readonly #began: number

  constructor(desk: Desk, ask: Ask, next: Next) {
    this.#desk = desk
    this.#ask = ask
    this.#next = next
    this.#settings = settingsOf(ask, desk.timeoutMs)
    this.#began = desk.clock.mono()
  }

  async answer(): Promise<HttpReply> {
    let { key } = this.#ask
    let fwd: Forwarded = 'uri-miss'
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      const step = await this.#slot(key, fwd)
      if ('reply' in step) return step.reply
      if ('alone' in step) return this.#forward(step.alone, step.detail)
      key = nextSlot(this.#ask, step.other)
      fwd = 'vary-miss'
    }
    return this.#forward(fwd, 'slots')
  }

  #slot(key: string, fwd: Forwarded): Promise<Step> {
    const { request, directives, isHead } = this.#ask
    // A part or a head is no answer for the others; who wants nothing stored or nothing asked, the same.
    const looksOnly =
      isHead ||
      directives.noStore ||
      directives.onlyIfCached ||
      request.headers.range !== undefined ||
      this.#desk.recollection.isAlone(this.#ask, key)
    return looksOnly ? this.#look(key, fwd) : this.#load(key, fwd)
  }

  /** Uses what is stored if it can be used as it is. */
  async #look(key: string, fwd: Forwarded): Promise<Step> {
    const { judged, rules } = this.#desk
    // A store that cannot be asked has nothing.
    const found = await judged.look(key, this.#settings).catch(() => undefined)
    const verdict = found && judge(found.value, found, this.#ask, rules, this.#desk.now())
    if (found && (verdict === 'hit' || verdict === 'stale' || verdict === 'refresh')) {
      judged.countHit(key, found.fresh)
    }
    const step = found && verdict && this.#use(key, found.value, verdict)
    if (step) return step
    if (this.#ask.directives.onlyIfCached) return { reply: this.#gatewayTimeout(key) }
    const detail = this.#ask.directives.noStore ? 'request-no-store' : undefined
    return { alone: found ? fwdOf(verdict!, fwd) : fwd, detail }
  }

  /** Uses what is stored, or loads it, once for all who want it. */
  async #load(key: string, fwd: Forwarded): Promise<Step> {
    const { judged } = this.#desk
    const load = new Load(this.#ask, key, fwd, this.#next, this.#desk)
    let verdict: Verdict | undefined
    const see = (found: unknown, sight: Sight): Judgement => {
      verdict = judge(found, sight, this.#ask, this.#desk.rules, this.#desk.now())
      if (verdict === 'refresh' && this.#mustAskItself(key)) verdict = 'validate'
      if (verdict === 'refresh') load.background = true
      if (verdict === 'hit' || verdict === 'stale' || verdict === 'other' || verdict === 'unfit')
        return 'serve'
      load.fwd = fwdOf(verdict, fwd)
      load.older = found instanceof StoredResponse ? found : undefined
      return verdict === 'refresh' ? 'refresh' : 'load'
    }
    let value: unknown
    try {
      const cached = judged.getOrSet(key, (ctx) => load.run(ctx), see, this.#settings)
      // The client of a load need not wait until what he gets is stored.
      value = await Promise.race([cached, load.reply])
      cached.catch(() => {})
    } catch {
      return this.#failed(key, load)
    }
    if (load.started && !load.background) return { reply: this.#own(load, await load.reply) }
    if (!(value instanceof StoredResponse)) {
      this.#desk.recollection.rememberAlone(this.#ask, key)
      return { alone: load.fwd }
    }
    const step = verdict && this.#use(key, value, verdict)
    return step ?? this.#join(key, value, load)
  }

  /** Without a background somebody has to ask for the stale response: who comes while nobody does. */
  #mustAskItself(key: string): boolean {
    return !this.#ask.route.background && !this.#desk.judged.isLoading(this.#desk.cache.nameOf(key))
  }

  /** What was found, as it is; undefined where that is not enough. */
  #use(key: string, value: unknown, verdict: Verdict): Step | undefined {
    if (!(value instanceof StoredResponse)) return undefined
    if (verdict === 'other') return { other: value }
    if (verdict === 'unfit') return { alone: 'bypass', detail: 'authorization' }
    if (verdict !== 'hit' && verdict !== 'stale' && verdict !== 'refresh') return undefined
    const { status, counts } = this.#desk
    const detail = verdict === 'hit' ? undefined : verdict === 'stale' ? 'stale' : 'stale-while-revalidate'
    counts[verdict === 'hit' ? 'hits' : 'stale']++
    const reply = respond(value, this.#ask, this.#desk.now(), status.hit(key, detail))
    return { reply: this.#told(reply, verdict === 'hit' ? 'hit' : 'stale', detail ?? 'store') }
  }

  /** What another request's load brought. */
  #join(key: string, value: StoredResponse, load: Load): Step {
    const { rules, counts, status } = this.#desk
    if (!isVariant(value, this.#ask)) return { other: value }
    const now = this.#desk.now()
    const verdict = judge(value, { fresh: true, heldOff: false }, this.#ask, rules, now)
    // What must be asked for each time was asked for just now, but not for this client.
    if (verdict !== 'hit' && verdict !== 'request') return { alone: load.fwd }
    counts.collapsed++
    const line = status.forwarded(key, { fwd: load.fwd, collapsed: true })
    return { reply: this.#told(respond(value, this.#ask, now, line), 'collapsed', load.fwd) }
  }

  /** The load failed: its own failure is this request's, another's says nothing about it. */
  async #failed(key: string, load: Load): Promise<Step> {
    if (load.started && !load.background) return { reply: this.#own(load, await load.reply) }
    const { older } = load
    const now = this.#desk.now()
    if (older === undefined || !mayStandIn(older, this.#ask, this.#desk.rules, now, false))
      return { alone: load.fwd }
    this.#desk.count('staleIfError')
    const reply = standIn(older, this.#ask, key, now, this.#desk.status, load.fwd, undefined)
    return { reply: this.#told(reply, 'stale', 'stale-if-error') }
  }

  #own(load: Load, reply: HttpReply): HttpReply {
    this.#desk.counts.misses++
    if (this.#ask.hasAuthorization && !load.isShared) {
      this.#desk.recollection.rememberAlone(this.#ask, load.key)
    }
    return this.#told(reply, 'miss', load.fwd)
  }

  /** Past the cache, after a look at it. */
  async #forward(fwd: Forwarded, detail: string | undefined): Promise<HttpReply> {
    const { counts, status } = this.#desk
    counts.misses++
    const response = await this.#next(this.#ask.request, { background: false })
    const line = status.forwarded(this.#ask.key, { fwd, fwdStatus: response.status, detail })
    return this.#told(passOn(response, line), 'miss', detail ?? fwd)
  }

  #gatewayTimeout(key: string): HttpReply {
    const line = this.#desk.status.refused(key, 'only-if-cached')
    const headers = ['Content-Length', '0', 'Cache-Control', 'no-store']
    if (line !== '') headers.push('Cache-Status', line)
    const reply = { status: 504, statusText: 'Gateway Timeout', headers, body: undefined }
    return this.#told(reply, 'miss', 'only-if-cached')
  }

  #told(reply: HttpReply, outcome: HttpReplyEvent['outcome'], reason: string): HttpReply {
    if (replies.active) tell(this.#desk, reply, outcome, reason, this.#began)
    return reply
  }
}

export function tell(
  desk: Pick<Desk, 'clock'>,
  reply: HttpReply,
  outcome: HttpReplyEvent['outcome'],
  reason: string,
  began: number,
): void {
  replies.publish({ outcome, reason, status: reply.status, ms: desk.clock.mono() - began })
}

function fwdOf(verdict: Verdict, otherwise: Forwarded): Forwarded {
  if (verdict === 'request') return 'request'
  return verdict === 'validate' || verdict === 'refresh' ? 'stale' : otherwise
}
