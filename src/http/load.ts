import type { LoadContext } from '../cache/options.ts'
import type { Ask } from './ask.ts'
import { bodyOf, cancelBody, toBuffer } from './body.ts'
import { BodySpool } from './body-spool.ts'
import type { CacheStatus, Forwarded } from './cache-status.ts'
import { giveLife } from './entry-life.ts'
import { Fields, isSendable, toRaw } from './fields.ts'
import { canConfirm, forCache, passOnFor } from './forwarding.ts'
import { formatHttpDate } from './http-date.ts'
import { isVariant, mayStandIn } from './judgement.ts'
import type { HttpReply, HttpResponse, Next } from './message.ts'
import { respond } from './respond.ts'
import { assess, type Rules, type Terms } from './storable.ts'
import { isBodiless, NOT_SHARED, StoredResponse } from './stored-response.ts'
import { confirms, storedFields, toStored, updatedFields } from './storing.ts'
import { selectingValues } from './vary.ts'

/** What a load needs of its engine. */
export interface Surroundings {
  readonly rules: Rules
  readonly status: CacheStatus
  readonly keepMs: number
  now(): number
  /** The wall clock, which dates are written by. */
  wall(): number
  /** One more variant of a URL, unless it has too many. */
  admits(ask: Ask, names: readonly string[], values: readonly (string | null)[]): boolean
  /** What is stored in this slot is not to be used any more. */
  drop(key: string): Promise<void>
  count(what: 'stored' | 'unstored' | 'staleIfError' | 'cut' | 'tooLarge' | 'validated'): void
}

/** The application failed and a stale response stood in for it: no news for those who wait. */
class StoodIn extends Error {
  constructor(options?: ErrorOptions) {
    super('the application failed, a stale response was used', options)
    this.name = 'StoodIn'
  }
}

/** Answers that mean that the application is not there. */
const CUT_OFF = new Set([500, 502, 503, 504])

/** An answer of the application, with the times that its age is made of. */
interface Answer {
  readonly response: HttpResponse
  readonly fields: Fields
  readonly requestedAt: number
  readonly receivedAt: number
  readonly receivedWall: number
}

/**
 * One request's way to the application for the cache: with our validators, its answer streamed to
 * the one client who asked and kept for the others. Only what may be shared is returned.
 */
export class Load {
  /** The reply to the request whose load it is. Never settles if another's load answered. */
  readonly reply: Promise<HttpReply>
  /** The application was called. */
  started = false
  background = false
  /** What the judge found stale for this request. */
  older: StoredResponse | undefined
  fwd: Forwarded
  readonly #ask: Ask
  readonly key: string
  /** Its answer may be given to others. */
  isShared = true
  readonly #next: Next
  readonly #around: Surroundings
  #resolve!: (reply: HttpReply) => void
  #reject!: (error: unknown) => void

  constructor(ask: Ask, key: string, fwd: Forwarded, next: Next, around: Surroundings) {
    this.#ask = ask
    this.key = key
    this.fwd = fwd
    this.#next = next
    this.#around = around
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // A refresh has nobody who would hear of its failure.
    this.reply.catch(() => {})
  }

  /** The loader for the cache. */
  async run(ctx: LoadContext<unknown>): Promise<unknown> {
    // A second start of the same load would call the application twice for one request.
    if (this.started) return ctx.skip(NOT_SHARED)
    this.started = true
    const found = ctx.stale?.value
    const older = found instanceof StoredResponse && isVariant(found, this.#ask) ? found : this.older
    let answer: Answer
    try {
      answer = await this.#call(older)
      if (answer.response.status === 304 && older && !confirms(older, answer.fields, answer.receivedWall)) {
        answer = await this.#call(undefined)
      }
    } catch (error) {
      return this.#failed(older, error, undefined)
    }
    const { response, receivedAt } = answer
    if (response.status === 304 && older && canConfirm(older)) return this.#validated(ctx, older, answer)
    if (older && CUT_OFF.has(response.status)) {
      if (mayStandIn(older, this.#ask, this.#around.rules, receivedAt, false)) {
        cancelBody(bodyOf(response.body))
        return this.#failed(older, undefined, response.status)
      }
    }
    const terms = this.#assess(response.status, answer)
    const body = bodyOf(response.body)
    if (typeof terms === 'string') {
      // What is stored was superseded by an answer that nobody else may have (RFC 9111, 4.3.3).
      if (older && response.status < 500) await this.#around.drop(this.key)
      return this.#keepOut(ctx, answer, body, terms)
    }
    const refusal = this.#refuses(ctx, terms, answer)
    if (refusal !== undefined) return this.#keepOut(ctx, answer, body, refusal)
    if (body === undefined || body instanceof Uint8Array) return this.#storeWhole(ctx, answer, terms, body)
    return this.#storeStream(ctx, answer, terms, body)
  }

  async #call(older: StoredResponse | undefined): Promise<Answer> {
    const requestedAt = this.#around.now()
    const response = await this.#next(forCache(this.#ask.request, older), { background: this.background })
    const fields = new Fields(toRaw(response.headers))
    const [receivedAt, receivedWall] = [this.#around.now(), this.#around.wall()]
    return { response, fields, requestedAt, receivedAt, receivedWall }
  }

  #assess(status: number, { fields, requestedAt, receivedAt, receivedWall }: Answer): Terms | string {
    if (!isSendable(fields.raw)) return 'fields'
    const { route, directives, hasAuthorization, hasIdentity } = this.#ask
    const { rules } = this.#around
    const times = { requestedAt, receivedAt, receivedWall }
    return assess({ status, fields, ...times, route, rules, directives, hasAuthorization, hasIdentity })
  }

  /** What stands against storing it although its own fields allow it. */
  #refuses(ctx: LoadContext<unknown>, terms: Terms, { fields, receivedAt }: Answer): string | undefined {
    const { rules, keepMs, admits } = this.#around
    const length = lengthOf(fields)
    if (Number.isNaN(length)) return 'length'
    if (length !== undefined && length > this.#ask.route.maxBodyBytes) return 'too-large'
    const { varyNames } = terms
    const values = selectingValues(this.#ask.request.headers, varyNames)
    if (varyNames.length > 0 && !admits(this.#ask, varyNames, values)) return 'variants'
    return giveLife(ctx, this.#ask, terms, fields, receivedAt, keepMs, rules) ? undefined : 'tags'
  }

  /** A 304: the stored bytes are right, their fields are brought up to date. */
  async #validated(ctx: LoadContext<unknown>, older: StoredResponse, answer: Answer): Promise<unknown> {
    const { rules, status, drop, keepMs } = this.#around
    this.#around.count('validated')
    const { receivedAt, receivedWall } = answer
    const { meta, body } = older
    // Without a Date it is of the moment at which it came (RFC 9110, 6.6.1).
    const said = answer.fields
    const dated = said.has('date') ? said : new Fields([...said.raw, 'Date', formatHttpDate(receivedWall)])
    const merged = updatedFields(older, dated)
    const age = said.lines('age')[0]
    const fields = new Fields(age === undefined ? merged : [...merged, 'Age', age])
    const terms = this.#assess(meta.status, { ...answer, fields })
    const isStored =
      typeof terms !== 'string' && giveLife(ctx, this.#ask, terms, fields, receivedAt, keepMs, rules)
    const line = status.forwarded(this.key, { fwd: this.fwd, fwdStatus: 304, stored: isStored })
    if (!isStored) {
      await drop(this.key)
      this.#deliver(
        respond(new StoredResponse({ ...meta, headers: merged }, body), this.#ask, receivedAt, line),
      )
      return ctx.skip(NOT_SHARED)
    }
    const kept = storedFields(fields, terms)
    const next = toStored(this.#ask, { ...meta, headers: kept }, body, terms, rules, receivedAt)
    this.#deliver(respond(next, this.#ask, receivedAt, line))
    return next
  }

  #storeWhole(
    ctx: LoadContext<unknown>,
    answer: Answer,
    terms: Terms,
    body: Uint8Array | undefined,
  ): unknown {
    const { fields, response } = answer
    const bytes = body === undefined ? Buffer.alloc(0) : toBuffer(body)
    const expected = isBodiless(response.status) ? undefined : lengthOf(fields)
    if (expected !== undefined && expected !== bytes.length) return this.#keepOut(ctx, answer, body, 'length')
    if (bytes.length > this.#ask.route.maxBodyBytes) return this.#keepOut(ctx, answer, body, 'too-large')
    const stored = this.#toStored(answer, bytes, terms)
    this.#around.count('stored')
    this.#deliver(this.#replyTo(answer, body, undefined, stored))
    return stored
  }

  /** The client has the first bytes before the last ones have come. */
  async #storeStream(
    ctx: LoadContext<unknown>,
    answer: Answer,
    terms: Terms,
    body: AsyncIterable<Uint8Array>,
  ): Promise<unknown> {
    const expected = isBodiless(answer.response.status) ? undefined : lengthOf(answer.fields)
    const spool = new BodySpool(body, this.#ask.route.maxBodyBytes, expected)
    ctx.signal.addEventListener('abort', () => spool.forget(), { once: true })
    this.#deliver(this.#replyTo(answer, spool.reader(), undefined))
    let whole: Buffer | undefined
    try {
      whole = await spool.whole
    } catch {
      this.#around.count('cut')
      return ctx.skip(NOT_SHARED)
    }
    this.#around.count(whole === undefined ? 'tooLarge' : 'stored')
    return whole === undefined ? ctx.skip(NOT_SHARED) : this.#toStored(answer, whole, terms)
  }

  #toStored({ response, fields }: Answer, body: Buffer, terms: Terms): StoredResponse {
    const { status, statusText } = response
    const parts = { status, statusText, headers: storedFields(fields, terms), ownEtag: false }
    return toStored(this.#ask, parts, body, terms, this.#around.rules, this.#around.now())
  }

  /** It is for this one client. */
  #keepOut(ctx: LoadContext<unknown>, answer: Answer, body: HttpReply['body'], why: string): unknown {
    this.isShared = false
    this.#around.count('unstored')
    this.#deliver(this.#replyTo(answer, body, why))
    return ctx.skip(NOT_SHARED)
  }

  #replyTo(
    { response, fields, receivedWall }: Answer,
    body: HttpReply['body'],
    refusal: string | undefined,
    stored?: StoredResponse,
  ): HttpReply {
    const status = this.#around.status.forwarded(this.key, {
      fwd: this.fwd,
      fwdStatus: response.status,
      stored: refusal === undefined,
      detail: refusal,
    })
    const validators = stored?.validators ?? {
      etag: fields.lines('etag')[0],
      lastModified: fields.lines('last-modified')[0],
      dateMs: receivedWall,
    }
    return passOnFor(this.#ask.request, response, fields, body, validators, status, receivedWall)
  }

  #deliver(reply: HttpReply): void {
    if (this.background) cancelBody(reply.body)
    this.#resolve(reply)
  }

  /** The application failed: a stale response where there is one and it may be used, else the failure. */
  #failed(older: StoredResponse | undefined, error: unknown, status: number | undefined): never {
    const { rules, status: writer } = this.#around
    const now = this.#around.now()
    if (older && mayStandIn(older, this.#ask, rules, now, status === undefined)) {
      this.#around.count('staleIfError')
      this.#deliver(standIn(older, this.#ask, this.key, now, writer, this.fwd, status))
      throw new StoodIn({ cause: error })
    }
    this.#reject(error)
    throw error
  }
}

/** A stale response in place of a failure. */
export function standIn(
  stored: StoredResponse,
  ask: Ask,
  key: string,
  now: number,
  status: CacheStatus,
  fwd: Forwarded,
  fwdStatus: number | undefined,
): HttpReply {
  return respond(stored, ask, now, status.forwarded(key, { fwd, fwdStatus, detail: 'stale-if-error' }))
}

/** NaN: lengths that contradict each other or are none, so nothing about the body can be believed. */
function lengthOf(fields: Fields): number | undefined {
  const lines = fields.lines('content-length')
  const text = lines[0]
  if (text === undefined) return undefined
  return /^\d+$/.test(text) && lines.every((one) => one === text) ? Number(text) : Number.NaN
}
