/**
 * The messages that the HTTP part speaks: plain records, so that a hit costs no `Request`, no
 * `Headers` and no stream. `node-bridge.ts` and `fetch-bridge.ts` translate from and to the hosts.
 */

/** Lower-case names; several lines of one field joined by `, `, or as an array. Node's `req.headers` fits. */
export type HeaderRecord = Readonly<Record<string, string | readonly string[] | undefined>>

/** Names and values in turn, as in Node's `rawHeaders`: order, case and repetition are kept. */
export type RawHeaders = readonly string[]

/** Headers as hosts have them at hand. */
export type HeadersLike =
  | RawHeaders
  | Readonly<Record<string, string | number | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>

/** A request as the engine sees it, whatever framework it came through. */
export interface HttpRequest {
  /** As it came; methods are case-sensitive. */
  readonly method: string
  /** Request target: `/path?query`. The absolute form is understood. */
  readonly url: string
  readonly headers: HeaderRecord
  /** How the client came. @default 'http' */
  readonly scheme?: 'http' | 'https' | undefined
  /** Authority the client asked for. @default the Host field */
  readonly host?: string | undefined
  /** The client went away. A load for the cache goes on, as far as its bounds allow. */
  readonly signal?: AbortSignal | undefined
}

/** A body: whole, or in pieces. */
export type HttpBody =
  | string
  | Uint8Array
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array>
  | null
  | undefined

/** What the application answers. */
export interface HttpResponse {
  readonly status: number
  readonly statusText?: string | undefined
  readonly headers: HeadersLike
  /** A stream that fails means that the message is incomplete: it is never stored. */
  readonly body?: HttpBody
}

/** What the client is to get. Shared between requests on a hit: to be read, not changed. */
export interface HttpReply {
  readonly status: number
  readonly statusText: string | undefined
  readonly headers: RawHeaders
  /** undefined = none. A stream that fails must end the connection without ending the message. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | undefined
}

/** How the engine calls the application. */
export interface NextInfo {
  /** Nobody waits for this answer: it is a refresh behind a stale reply. */
  readonly background: boolean
}

/**
 * The application. `request` may differ from the one that came in: a validator is added where a
 * stored response can be confirmed by 304, Range and the client's own conditions are taken out
 * where a whole response is wanted.
 */
export type Next = (request: HttpRequest, info: NextInfo) => HttpResponse | Promise<HttpResponse>
