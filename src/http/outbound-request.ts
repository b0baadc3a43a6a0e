/** What `outbound` asks of a fetch: Node's own, undici's, `hf.tokens(…).fetch`, or one of yours. */
export type OutboundFetch = (input: string, init: OutboundInit) => Promise<OutboundReply>

/** What is handed to it. Further words of the caller's `init` (`dispatcher`, `redirect` …) go along. */
export interface OutboundInit {
  method: string
  headers: Record<string, string>
  body?: string | Uint8Array<ArrayBuffer> | undefined
  signal?: AbortSignal | undefined
}

/** The part of a `Response` that is read. */
export interface OutboundReply {
  readonly status: number
  readonly statusText: string
  readonly headers: {
    get(name: string): string | null
    forEach(each: (value: string, name: string) => void): void
  }
  readonly body: ReplyBody | null
}

export interface ReplyBody {
  getReader(): ReplyReader
}

export interface ReplyReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>
  cancel(reason?: unknown): Promise<unknown>
}

/** A request as the functions of a route see it. */
export interface OutboundRequest {
  /** Name of the route. */
  readonly route: string
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  /** Empty without a body. */
  readonly body: Uint8Array<ArrayBuffer>
}

/** Method and address: what a route is chosen by. */
export interface RequestHead {
  readonly method: string
  readonly url: URL
  readonly from: Request | undefined
  readonly init: RequestInit
}

/** A caller's request, read once: what is sent and what is keyed are the same. */
export interface ReadRequest extends RequestHead {
  /** Header fields by name in lower case, sorted by name. */
  readonly fields: ReadonlyMap<string, string>
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Undefined: it cannot be read before it is sent (a stream, a form), or is too large. */
  readonly body: string | Uint8Array<ArrayBuffer> | null | undefined
  readonly signal: AbortSignal | undefined
}

/** Larger request bodies are not digested. */
const MAX_REQUEST_BYTES = 1024 * 1024
const NO_BYTES: Uint8Array<ArrayBuffer> = new Uint8Array(0)

/** @throws TypeError as fetch does for an address that is none, but without quoting it */
export function headOf(input: string | URL | Request, init: RequestInit): RequestHead {
  const from = input instanceof Request ? input : undefined
  const url = parseUrl(from ? from.url : (input as string | URL))
  return { url, method: (init.method ?? from?.method ?? 'GET').toUpperCase(), from, init }
}

export async function readRequest(head: RequestHead): Promise<ReadRequest> {
  const { from, init } = head
  const headers = new Headers(init.headers ?? from?.headers)
  const given = init.body === undefined && from?.body ? await bytesOf(from) : init.body
  const { body, bytes, type } = snapshot(given)
  if (type !== undefined && !headers.has('content-type')) headers.set('content-type', type)
  const fields = new Map<string, string>()
  headers.forEach((value, name) => {
    fields.set(name, value)
  })
  return { ...head, fields, bytes, body, signal: init.signal ?? from?.signal ?? undefined }
}

/** As the functions of a route see it: a copy, made when one of them first looks. */
export function askedOf(route: string, request: ReadRequest): () => OutboundRequest {
  let made: OutboundRequest | undefined
  return () => {
    const { method, url, bytes } = request
    made ??= { route, method, url: new URL(url), headers: new Headers([...request.fields]), body: bytes }
    return made
  }
}

/** How the caller wants caches to behave: the fetch standard's word, or the header field. */
export function cacheModeOf({ init, from, fields }: ReadRequest): 'default' | 'no-store' | 'reload' {
  const mode: unknown = 'cache' in init ? init.cache : from?.cache
  const control = fields.get('cache-control') ?? ''
  if (mode === 'no-store' || /\bno-store\b/i.test(control)) return 'no-store'
  return mode === 'reload' || mode === 'no-cache' || /\bno-cache\b/i.test(control) ? 'reload' : 'default'
}

/** The request as it came, for a fetch that takes an address and an `init` only. */
export function asGiven(head: RequestHead): OutboundInit {
  const { from, init, method } = head
  const headers: Record<string, string> = {}
  new Headers(init.headers ?? from?.headers).forEach((value, name) => {
    headers[name] = value
  })
  const body = init.body ?? from?.body
  const isStream = body instanceof ReadableStream
  // A body of any kind that fetch takes: this only passes it on.
  const passed = body as OutboundInit['body']
  return {
    ...(from && { redirect: from.redirect, signal: from.signal }),
    ...(init as object),
    method,
    headers,
    ...(body !== undefined && body !== null && { body: passed }),
    ...(isStream && { duplex: 'half' }),
  }
}

export function parseUrl(input: string | URL): URL {
  try {
    return new URL(input)
  } catch {
    // The parser's own message quotes the address, with whatever it holds.
    throw new TypeError('fetch got an address that is not a URL')
  }
}

/** An address as it may be shown: without credentials, and without the values of its parameters. */
export function redactUrl(url: URL): string {
  const names = url.search === '' ? [] : url.search.slice(1).split('&')
  const query = names.map((pair) => `${pair.split('=', 1)[0]}=*`).join('&')
  return `${url.origin}${url.pathname}${query && `?${query}`}`
}

/** Of a copy: where the request is passed on as it is, its own body is still there. */
async function bytesOf(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await request.clone().arrayBuffer())
}

/** The body as it is now: who changes it later changes neither the key nor what is sent. */
function snapshot(given: unknown): Pick<ReadRequest, 'body' | 'bytes'> & { type?: string } {
  if (given === null || given === undefined) return { body: null, bytes: NO_BYTES }
  if (typeof given === 'string') {
    return bounded(given, Buffer.from(given), 'text/plain;charset=UTF-8')
  }
  if (given instanceof URLSearchParams) {
    const text = given.toString()
    return bounded(text, Buffer.from(text), 'application/x-www-form-urlencoded;charset=UTF-8')
  }
  if (given instanceof ArrayBuffer) return bounded(new Uint8Array(given.slice(0)))
  if (ArrayBuffer.isView(given)) {
    return bounded(
      new Uint8Array(
        given.buffer.slice(given.byteOffset, given.byteOffset + given.byteLength) as ArrayBuffer,
      ),
    )
  }
  return { body: undefined, bytes: NO_BYTES }
}

function bounded(
  body: string | Uint8Array<ArrayBuffer>,
  bytes: Uint8Array<ArrayBuffer> = body as Uint8Array<ArrayBuffer>,
  type?: string,
): Pick<ReadRequest, 'body' | 'bytes'> & { type?: string } {
  if (bytes.length > MAX_REQUEST_BYTES) return { body: undefined, bytes: NO_BYTES }
  return { body, bytes, ...(type !== undefined && { type }) }
}
