import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { type Clock, systemClock } from '../base/clock.ts'
import { BrokenOff, HeldResponse } from './held-response.ts'
import type { HeaderRecord, HttpReply, HttpRequest, HttpResponse, Next } from './message.ts'
import { NodeRequest, type NodeRequestHints, sendReply, sendWhole } from './node-bridge.ts'

/** What stands between a framework of node:http and one of its handlers. */
export interface Interposition {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Lets the framework go on to its handler, or with an error to its own error handling. */
  proceed(error?: unknown): void
  /** Before an answer for which the framework was not asked: it is not to send one as well. */
  takeOver?(): void
  /** Answers from the part of Holdfast that stands here; calls `next` for the handler's answer. */
  handle(request: HttpRequest, next: Next): Promise<HttpReply> | HttpReply
  /** The answer, where it is at hand without waiting. */
  recall?(request: HttpRequest): HttpReply | undefined
  readonly hints?: NodeRequestHints | undefined
  readonly clock?: Clock | undefined
}

/** Requests that this process made itself, to refresh what it has, and what catches their answers. */
const reruns = new WeakMap<IncomingMessage, HeldResponse>()

/** Whether a request is a refresh behind a stale answer: it goes past caches, limits and the like. */
export const isRerun = (req: IncomingMessage): boolean => reruns.has(req)

/**
 * Puts `handle` around the handler of a request. The handler sees the real request and a response
 * that holds back what it writes; errors take the framework's own way and come out as its answer.
 */
export function interpose(parts: Interposition): void {
  const { req, res } = parts
  const catcher = reruns.get(req)
  if (catcher) {
    catcher.takePrior()
    parts.proceed()
    return
  }
  const original = new NodeRequest(req, parts.hints)
  let known: HttpReply | undefined
  try {
    known = parts.recall?.(original)
  } catch (error) {
    parts.proceed(error)
    return
  }
  if (known === undefined || (known.body !== undefined && !(known.body instanceof Uint8Array))) {
    void answer(parts, original)
    return
  }
  parts.takeOver?.()
  sendWhole(res, known, known.body)
}

async function answer(parts: Interposition, { method, url, scheme, host }: NodeRequest): Promise<void> {
  const { req, res, clock = systemClock } = parts
  // What the client asked stays as it is, also once the handler is asked something else.
  const original: HttpRequest = { method, url, scheme, host, headers: req.headers }
  let held: HeldResponse | undefined
  const next: Next = (request, { background }) => {
    if (background || held) return rerun(req, request, clock)
    const { headers } = request
    if (headers !== original.headers) takeHeaders(req, headers)
    held = new HeldResponse(res, clock)
    parts.proceed()
    return held.message
  }
  let reply: HttpReply
  try {
    reply = await parts.handle(original, next)
  } catch (error) {
    const target = held ? held.open() : res
    if (target.headersSent) target.destroy()
    // The handler let go of its answer before there was one, and nothing stored may stand in for it.
    else if (error instanceof BrokenOff) await sendReply(target, failure(502, 'no answer'))
    else if (held) await sendReply(target, failure(500, 'internal error'))
    else parts.proceed(error)
    return
  }
  if (!held) parts.takeOver?.()
  const target = held ? held.open() : res
  try {
    await sendReply(target, reply)
  } catch {
    // What cannot be written as a message of HTTP: the client must not wait for it.
    target.destroy()
  }
}

/** The handler is to see what it is asked: with our validators, without conditions that we answer. */
function takeHeaders(req: IncomingMessage, headers: HeaderRecord): void {
  const asked: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) asked[name] = typeof value === 'string' ? value : [...value]
  }
  // Another object: the client's own fields still say what the client gets.
  req.headers = asked
}

const failure = (status: number, text: string): HttpReply => ({
  status,
  statusText: undefined,
  headers: ['Content-Type', 'text/plain', 'Cache-Control', 'no-store'],
  body: Buffer.from(text),
})

/**
 * Sends a request through the whole server once more, from its first middleware on, with nobody at
 * the other end: who may not have the answer gets none here either.
 */
function rerun(original: IncomingMessage, request: HttpRequest, clock: Clock): Promise<HttpResponse> {
  const { socket } = original
  const server: unknown = 'server' in socket ? socket.server : undefined
  const listeners = isServer(server) ? server.listeners('request') : []
  if (listeners.length === 0) return Promise.reject(new BrokenOff())
  const seat = new Socket()
  for (const name of [
    'remoteAddress',
    'remotePort',
    'remoteFamily',
    'localAddress',
    'localPort',
    'encrypted',
  ]) {
    Object.defineProperty(seat, name, { value: Reflect.get(socket, name), configurable: true })
  }
  const req = new IncomingMessage(seat)
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = typeof value === 'string' ? value : [...value]
  }
  Object.assign(req, {
    method: request.method,
    url: request.url,
    httpVersion: '1.1',
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    complete: true,
  })
  req.headers = headers
  req.rawHeaders = Object.entries(headers).flatMap(([name, value]) => [name, String(value)])
  req.push(null)
  const res = new ServerResponse(req)
  const held = new HeldResponse(res, clock)
  const { message } = held
  reruns.set(req, held)
  const over = () => res.emit('finish') && res.emit('close')
  for (const listener of listeners) (listener as RequestListener)(req, res)
  void message.then(over, over)
  return message
}

function isServer(value: unknown): value is { listeners(event: string): unknown[] } {
  return typeof value === 'object' && value !== null && 'listeners' in value
}
