import { createHash } from 'node:crypto'
import type { Duration } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import {
  OnceIndeterminate,
  OnceMismatch,
  OnceNoResult,
  OnceRunning,
  OnceSuperseded,
  OnceUnavailable,
} from '../once/errors.ts'
import type { Once } from '../once/once.ts'
import { fingerprint } from '../once/record.ts'
import type { CrashPolicy } from '../once/store.ts'
import { parseIdempotencyKey } from './idempotency-key.ts'
import { type KeptReply, keepReply, reviveReply } from './kept-reply.ts'
import type { HttpReply, HttpResponse } from './message.ts'
import { problemReply, type WholeReply } from './reply.ts'
import type { RequestView } from './request-view.ts'

/** How requests with an `Idempotency-Key` are told apart and kept. */
export interface IdempotencyOptions<Request> {
  /** Refuse requests without a key, with 400. @default true */
  readonly required?: boolean | undefined
  /** Methods that are looked at; others pass. @default ['POST', 'PATCH'] */
  readonly methods?: readonly string[] | undefined
  /**
   * Who sends the key: keys of different senders never meet, so that nobody is handed another's
   * answer. Give the user's id where there is one. @default Authorization and Cookie as sent
   */
  readonly by?: ((request: Request) => string | undefined | Promise<string | undefined>) | undefined
  /** What the request asks for, beside method and target; kept as a digest. @default the parsed body */
  readonly payload?: ((request: Request) => unknown) | undefined
  /**
   * Which answers are handed out again. `success`: below 400; after an error the key is free for
   * another try. `all`: errors too. Or by status. @default 'success'
   */
  readonly keep?: 'success' | 'all' | ((status: number) => boolean) | undefined
  /** How long an answer is handed out again. @default '24h' */
  readonly retain?: Duration | undefined
  /** How long a repeated request waits for the first to end, instead of 409 at once. @default 0 */
  readonly wait?: Duration | undefined
  /** Largest body that is kept. A repeated request after a larger one is told that it was done. @default 256 KiB */
  readonly maxBytes?: number | undefined
  /** What becomes of a key whose process died during the first request: see `OnceOptions`. @default 'hold' */
  readonly onCrash?: CrashPolicy | undefined
  /** While Redis cannot be asked: `refuse` with 503, or `run` without protection. @default 'refuse' */
  readonly onUnavailable?: 'refuse' | 'run' | undefined
}

const KNOWN = [
  'required',
  'methods',
  'by',
  'payload',
  'keep',
  'retain',
  'wait',
  'maxBytes',
  'onCrash',
  'onUnavailable',
]
const TYPE = 'https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/'
const MAX_BYTES = 262_144
/** Room for status and header fields beside a body, whose bytes may become base64. */
const HEAD_BYTES = 65_536

/** What the first request under a key came to, where it must not be recorded. */
class Unkept extends Error {
  readonly reply: HttpReply

  constructor(reply: HttpReply) {
    super('an answer that is not kept')
    this.reply = reply
  }
}

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07) on run-once: the first request
 * under a key runs, the same request again gets its answer, another payload 422, a running one 409.
 */
export class Idempotency<Request> {
  readonly #once: Once
  readonly #options: IdempotencyOptions<Request>
  readonly #methods: ReadonlySet<string>
  readonly #maxBytes: number
  readonly #keeps: (status: number) => boolean

  /** @throws InvalidOption */
  constructor(once: Once, options: IdempotencyOptions<Request> = {}) {
    refuseUnknown(options, KNOWN, 'idempotency')
    const { keep = 'success', maxBytes = MAX_BYTES, onUnavailable = 'refuse' } = options
    if (typeof once !== 'function') throw new InvalidOption('idempotency was given no once', 'give hf.once')
    if (!Number.isInteger(maxBytes) || maxBytes < 0) {
      throw new InvalidOption('maxBytes is not a number of bytes', 'give a whole number')
    }
    if (onUnavailable !== 'refuse' && onUnavailable !== 'run') {
      throw new InvalidOption('onUnavailable is unknown', "give 'refuse' or 'run'")
    }
    if (typeof keep !== 'function' && keep !== 'success' && keep !== 'all') {
      throw new InvalidOption('keep is unknown', "give 'success', 'all' or a function of the status")
    }
    this.#once = once
    this.#options = options
    this.#methods = new Set(options.methods ?? ['POST', 'PATCH'])
    this.#maxBytes = maxBytes
    this.#keeps = typeof keep === 'function' ? keep : keep === 'all' ? () => true : (status) => status < 400
  }

  /** The key of a request; `undefined`: it needs none and runs as it is; a reply: it is refused. */
  admit(view: RequestView): string | undefined | WholeReply {
    if (!this.#methods.has(view.method)) return undefined
    const field = view.header('idempotency-key')
    if (field === undefined) {
      if (this.#options.required === false) return undefined
      return refuse(400, 'Idempotency-Key is missing', 'Send one key per operation, the same for each try.')
    }
    const key = parseIdempotencyKey(field)
    if (key !== undefined) return key
    return refuse(
      400,
      'Idempotency-Key is malformed',
      'Send one string of 1 to 255 visible ASCII characters.',
    )
  }

  /**
   * Runs `produce`, which hands the request to the application, or replays what it answered before.
   * @param body the parsed body, unless `payload` says otherwise
   * @throws what `produce` throws
   */
  async run(
    key: string,
    request: Request,
    view: RequestView,
    body: unknown,
    produce: () => Promise<HttpResponse>,
  ): Promise<HttpReply> {
    const { by, payload, retain, wait, onCrash } = this.#options
    const sender = by ? await by(request) : undefined
    const owner = sender ?? `${view.header('authorization') ?? ''}\n${view.header('cookie') ?? ''}`
    const id = createHash('sha256')
      .update(`${sender === undefined ? 'f' : 'u'}\n${owner}\n${key}`)
      .digest('base64url')
    const content = await (payload ? payload(request) : body)
    let first: HttpReply | undefined
    try {
      const kept = await this.#once(
        `http:${id}`,
        async () => {
          const { reply, kept } = await keepReply(await produce(), this.#maxBytes)
          first = reply
          if (!this.#keeps(reply.status)) throw new Unkept(reply)
          return kept
        },
        {
          payload: `${view.method} ${view.target} ${digest(content)}`,
          retain,
          wait,
          onCrash,
          maxResultBytes: HEAD_BYTES + Math.ceil((this.#maxBytes * 4) / 3),
        },
      )
      return first ?? replay(kept)
    } catch (error) {
      // The work was done, whether or not that could be written down: its answer counts.
      if (first) return first
      return this.#answer(error, produce)
    }
  }

  async #answer(error: unknown, produce: () => Promise<HttpResponse>): Promise<HttpReply> {
    if (error instanceof OnceRunning) {
      return refuse(409, 'A request under this key is running', 'Wait for it to end, then ask again.', 1)
    }
    if (error instanceof OnceMismatch) {
      return refuse(422, 'Idempotency-Key was used before', 'Use a new key for another request.')
    }
    if (error instanceof OnceNoResult) return gone()
    if (error instanceof OnceIndeterminate) {
      return refuse(
        409,
        'The outcome is unknown',
        'An earlier try ended without a word. Ask for the state of the operation.',
      )
    }
    if (error instanceof OnceSuperseded) {
      return refuse(409, 'A request under this key is running', 'Another try took over. Ask again.', 1)
    }
    if (!(error instanceof OnceUnavailable)) throw error
    if (this.#options.onUnavailable === 'run') return (await keepReply(await produce(), 0)).reply
    return refuse(
      503,
      'Temporarily unavailable',
      'The key could not be checked; nothing was done. Try again.',
      1,
    )
  }
}

function replay(kept: KeptReply): HttpReply {
  return reviveReply(kept) ?? gone()
}

const gone = (): WholeReply =>
  refuse(409, 'Already done', 'The first request ended well, but its answer was too large to be kept.')

function refuse(status: number, title: string, detail: string, retryAfter?: number): WholeReply {
  return problemReply({ status, type: TYPE, title, detail, retryAfter })
}

/** Of bytes and text as they are, of data whatever the order of its keys; what is no data counts as nothing. */
function digest(content: unknown): string {
  if (content === undefined || content === null) return ''
  if (content instanceof Uint8Array || typeof content === 'string') {
    return createHash('sha256').update(content).digest('base64url')
  }
  try {
    return fingerprint(content)
  } catch {
    return ''
  }
}
