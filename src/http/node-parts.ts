import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpCache } from './engine.ts'
import type { Idempotency } from './idempotency.ts'
import { type Interposition, interpose, isRerun } from './interpose.ts'
import type { HttpReply, HttpRequest, Next } from './message.ts'
import { NodeRequest, type NodeRequestHints, sendReply } from './node-bridge.ts'
import type { RouteOptions } from './options.ts'
import type { RateLimit } from './rate-limit.ts'
import type { WholeReply } from './reply.ts'
import { nodeView } from './request-view.ts'

/** A request on its way through a framework of node:http. */
export interface NodePassage {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Goes on to the handler, or with an error to the framework's error handling. */
  proceed(error?: unknown): void
  /** Before an answer that does not come from the framework: it is not to send one as well. */
  takeOver?(): void
  readonly hints?: NodeRequestHints | undefined
}

/**
 * Counts a request and sets the fields that say so.
 * @returns the refusal, where there is one
 */
export async function limitOnNode<Request>(
  limit: RateLimit<Request>,
  request: Request,
  { req, res }: Pick<NodePassage, 'req' | 'res'>,
): Promise<WholeReply | undefined> {
  if (isRerun(req)) return undefined
  const { headers, refusal } = await limit.check(request, nodeView(req))
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  return refusal
}

/** Lets a request with an Idempotency-Key run once. Resolves when it is answered, or passed on. */
export async function idempotentOnNode<Request>(
  idempotency: Idempotency<Request>,
  request: Request,
  body: unknown,
  passage: NodePassage,
): Promise<void> {
  const { req, res, proceed, hints } = passage
  const view = nodeView(req)
  const admitted = idempotency.admit(view)
  if (admitted === undefined) return proceed()
  if (typeof admitted !== 'string') {
    passage.takeOver?.()
    return sendReply(res, admitted)
  }
  const asIs = new NodeRequest(req, hints)
  interpose({
    ...passage,
    handle: (_, next) =>
      idempotency.run(admitted, request, view, body, async () => next(asIs, { background: false })),
  })
}

/** A request on its way past a response cache. One object per request, for the path of a hit. */
export class CachePassage implements Interposition {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly hints: NodeRequestHints | undefined
  readonly proceed: (error?: unknown) => void
  readonly takeOver: (() => void) | undefined
  readonly #cache: HttpCache
  readonly #route: RouteOptions | undefined

  constructor(cache: HttpCache, route: RouteOptions | undefined, passage: NodePassage) {
    this.req = passage.req
    this.res = passage.res
    this.hints = passage.hints
    this.proceed = passage.proceed
    this.takeOver = passage.takeOver
    this.#cache = cache
    this.#route = route
  }

  recall(request: HttpRequest): HttpReply | undefined {
    return this.#cache.recall(request, this.#route)
  }

  handle(request: HttpRequest, next: Next): Promise<HttpReply> {
    return this.#cache.handle(request, next, this.#route)
  }
}
