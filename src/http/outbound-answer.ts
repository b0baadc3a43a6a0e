import type { OutboundReply } from './outbound-request.ts'
import { packBody, type StoredBody, unpackBody } from './stored-body.ts'

/** An upstream's answer as it lies in the cache: plain data. */
export interface Answer extends StoredBody {
  /** Names one fetch: tells who loaded it from who found it. */
  readonly id: string
  /** When it was received, wall clock, ms. */
  readonly at: number
  /** How long it is fresh from then on, ms; 0 = it is not stored. */
  readonly ttl: number
  readonly status: number
  readonly text: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** The body was over the bound and is not in here. */
  readonly isCut?: true
}

/** Fields of one message, one connection or one client, and what fetch has undone: never handed on. */
const OF_ONE_MESSAGE =
  /^(?:set-cookie2?|connection|keep-alive|proxy-[a-z-]+|te|trailer|transfer-encoding|upgrade|content-encoding|content-length|age)$/
/** What the remote said about its quota at that moment: not replayed with a stored answer. */
const OF_ONE_MOMENT =
  /^(?:retry-after|ratelimit(?:-[a-z]+)*|x-ratelimit-.*|x-(?:app|ad-account|business-use-case)-usage|x-fb-ads-insights-throttle)$/

const NO_BODY = new Set([204, 205, 304])

export function keepAnswer(
  reply: OutboundReply,
  bytes: Buffer | undefined,
  about: { readonly id: string; readonly at: number; readonly ttl: number },
): Answer {
  const headers: [string, string][] = []
  reply.headers.forEach((value, name) => {
    if (!OF_ONE_MESSAGE.test(name) && !(about.ttl > 0 && OF_ONE_MOMENT.test(name)))
      headers.push([name, value])
  })
  // What it spent in other caches before counts as time that has passed.
  const seconds = /^\s*(\d{1,9})\s*$/.exec(reply.headers.get('age') ?? '')?.[1]
  if (seconds !== undefined) headers.push(['age', seconds])
  const rest = { status: reply.status, text: reply.statusText, headers }
  return bytes ? { ...about, ...rest, ...packBody(bytes) } : { ...about, ...rest, body: '', isCut: true }
}

export function headerOf(answer: Answer, name: string): string | undefined {
  return answer.headers.find(([known]) => known === name)?.[1]
}

/** A `Response` of its own for one caller. */
export function toResponse(answer: Answer, url: URL, status: string, ageMs: number): Response {
  const seconds = Math.floor(ageMs / 1_000)
  let age = seconds
  const headers: [string, string][] = []
  for (const [name, value] of answer.headers) {
    if (name === 'age') age += Number(value)
    else headers.push([name, value])
  }
  headers.push(['cache-status', status], ['age', String(age)], ['x-cache-age', String(seconds)])
  const body = NO_BODY.has(answer.status) ? null : unpackBody(answer)
  return named(new Response(body, { status: answer.status, statusText: answer.text, headers }), url)
}

/** Gives a response the address it came from, which its constructor cannot. */
export function named(response: Response, url: URL): Response {
  Object.defineProperty(response, 'url', { value: url.href.split('#', 1)[0], configurable: true })
  return response
}
