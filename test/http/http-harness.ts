import type { Cache } from '../../src/cache/cache.ts'
import { createCache } from '../../src/cache/create.ts'
import { createHttpCache, type HttpCache } from '../../src/http/engine.ts'
import { Fields, toRaw } from '../../src/http/fields.ts'
import { formatHttpDate } from '../../src/http/http-date.ts'
import type { HttpReply, HttpRequest, HttpResponse, NextInfo } from '../../src/http/message.ts'
import type { HttpCacheOptions, RouteOptions } from '../../src/http/options.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

/** A reply as tests look at it. */
export interface Got {
  readonly status: number
  readonly text: string
  readonly fields: Fields
  readonly reply: HttpReply
  /** Our member of Cache-Status. */
  readonly said: string
  get(name: string): string | undefined
}

export type App = (request: HttpRequest, info: NextInfo) => HttpResponse | Promise<HttpResponse>

export interface AskOptions {
  method?: string
  headers?: Record<string, string | string[] | undefined>
  host?: string
  scheme?: 'http' | 'https'
  route?: RouteOptions
  app?: App
}

export const ok = (
  headers: Record<string, string | string[]> = {},
  body: HttpResponse['body'] = 'body',
): HttpResponse => ({
  status: 200,
  headers,
  body,
})

/** An application behind the engine, in process memory, on a clock that tests move. */
export class Site {
  readonly clock: FakeClock
  readonly cache: Cache
  readonly http: HttpCache
  /** What the application was asked, in order. */
  readonly asked: HttpRequest[] = []
  app: App = () => ok({ 'cache-control': 'max-age=60' })

  constructor(options: Partial<HttpCacheOptions> = {}, clock = new FakeClock()) {
    this.clock = clock
    this.cache = options.cache ?? createCache({ clock })
    this.http = createHttpCache({ ...options, cache: this.cache })
  }

  get calls(): number {
    return this.asked.length
  }

  async ask(url = '/', options: AskOptions = {}): Promise<Got> {
    const seen = await got(await this.send(url, options))
    // The last byte reaches its reader a few microtasks before the store.
    await new Promise((resolve) => setImmediate(resolve))
    return seen
  }

  send(url = '/', { method = 'GET', headers = {}, host, scheme, route, app }: AskOptions = {}) {
    const request: HttpRequest = { method, url, headers, host: host ?? 'shop.example', scheme }
    return this.http.handle(
      request,
      (seen, info) => {
        this.asked.push(seen)
        return (app ?? this.app)(seen, info)
      },
      route,
    )
  }

  /** HTTP-date of now, moved by seconds. */
  date(seconds = 0): string {
    return formatHttpDate(this.clock.wall() + seconds * 1_000)
  }
}

export async function got(reply: HttpReply): Promise<Got> {
  const fields = new Fields(reply.headers)
  return {
    status: reply.status,
    text: await textOf(reply.body),
    fields,
    reply,
    said: fields.lines('cache-status').at(-1) ?? '',
    get: (name) => fields.get(name),
  }
}

export async function textOf(body: HttpReply['body']): Promise<string> {
  if (body === undefined) return ''
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Chunks that come when the test says so. */
export class SlowBody {
  readonly #queue: (string | Error | null)[] = []
  #wake: (() => void) | undefined
  cancelled = false

  push(chunk: string | Error | null): void {
    this.#queue.push(chunk)
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#queue.shift()
        if (chunk === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        } else if (chunk === null) return
        else if (chunk instanceof Error) throw chunk
        else yield Buffer.from(chunk)
      }
    } finally {
      this.cancelled = true
    }
  }
}

export const rawOf = toRaw
