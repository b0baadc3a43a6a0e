import { createHmac } from 'node:crypto'
import { type Duration, type Holdfast, HoldfastError } from 'holdfast'
import { type CachingFetch, outbound, verifySignature } from 'holdfast/http'
import { LimitExceeded } from 'holdfast/limit'
import { z } from 'zod'
import { Problem } from '../tasks/problem.ts'

/** One shop at KiotViet, and what it gave us to read it. */
export interface Shop {
  retailer: string
  clientId: string
  clientSecret: string
}

/** Where KiotViet is: https://public.kiotapi.com and https://id.kiotviet.vn/connect/token. */
export interface KiotVietAddress {
  api: string
  tokenUrl: string
  /** Who answers later than that has failed. @default '3s' */
  timeout?: Duration | undefined
}

export const KINDS = ['products', 'invoices', 'customers'] as const
export type Kind = (typeof KINDS)[number]
export interface Page {
  total: number
  data: { id: number; name?: string; [field: string]: unknown }[]
}
export interface Reading<T> {
  body: T
  /** Where it came from, and how old it is. */
  headers: Record<string, string>
}

/** KiotViet has nothing for us, and we have kept nothing. */
export class Unavailable extends Problem {
  constructor(status: 502 | 503 | 504, detail: string, retryAfterMs = 1_000) {
    super(status, detail, Math.ceil(retryAfterMs / 1_000))
  }
}

const WRITE_MS = 30_000
const SUBSCRIBE_MS = 5_000
const CHANGES: Record<string, Kind> = {
  product: 'products',
  stock: 'products',
  invoice: 'invoices',
  customer: 'customers',
}
const Notice = z.object({
  Notifications: z.array(
    z.object({
      Action: z.string(),
      Data: z.array(z.object({ Id: z.number().optional(), ProductId: z.number().optional() })),
    }),
  ),
})

/** A shop's KiotViet: one token for all processes, answers kept by kind, dropped when KiotViet tells of a change. */
export class KiotViet {
  readonly retailer: string
  readonly #hf: Holdfast
  readonly #api: string
  readonly #call: CachingFetch
  readonly #webhookSecret: string

  constructor(
    hf: Holdfast,
    { retailer, clientId, clientSecret }: Shop,
    { api, tokenUrl, timeout = '3s' }: KiotVietAddress,
  ) {
    this.#hf = hf
    this.#api = api
    this.retailer = retailer
    this.#webhookSecret = createHmac('sha256', clientSecret).update('webhook').digest('hex')
    const tokens = hf.tokens({
      tokenUrl,
      clientId,
      clientSecret,
      params: { scopes: 'PublicApi.Access' },
      origins: [new URL(api).origin],
    })
    const tags = ({ url }: { url: URL }) => [this.#tag(url.pathname.slice(1))]
    this.#call = outbound(tokens, {
      cache: hf.cache,
      prefix: `api_cache:kiotviet:${retailer}`,
      identity: { id: clientId },
      secret: clientSecret,
      limiter: hf.outbound('kiotviet', '5000/hour', { maxWait: '2s' }),
      limiterId: () => retailer,
      // The credential is ours: that KiotViet refuses it says nothing about the data.
      defaults: { expect: 'json', timeout: { hard: timeout }, failures: [401, 403] },
      classes: { static: { ttl: '5m', stale: '5m' }, dynamic: { ttl: '30s' } },
      routes: [
        { name: 'products', match: `GET ${api}/products*`, class: 'static', tags },
        { name: 'invoices', match: `GET ${api}/invoices*`, class: 'dynamic', tags },
        { name: 'customers', match: `GET ${api}/customers*`, class: 'static', tags, sensitive: true },
        {
          name: 'change',
          match: `PUT ${api}/products/*`,
          invalidates: ({ url }) => [this.#tag('products'), this.#tag(url.pathname.slice(1))],
        },
      ],
    })
  }

  list(kind: Kind, page = 1, pageSize = 100): Promise<Reading<Page>> {
    return this.#read(`/${kind}?currentItem=${(page - 1) * pageSize}&pageSize=${pageSize}`)
  }

  one(kind: Kind, id: number): Promise<Reading<Page['data'][number]>> {
    return this.#read(`/${kind}/${id}`)
  }

  async setPrice(id: number, basePrice: number, signal?: AbortSignal): Promise<void> {
    const body = JSON.stringify({ basePrice })
    const signals = [AbortSignal.timeout(WRITE_MS), ...(signal ? [signal] : [])]
    await this.#read(`/products/${id}`, { method: 'PUT', body, signal: AbortSignal.any(signals) })
  }

  /** Drops what KiotViet says has changed. It repeats a notice that was not answered with 2xx. */
  async changed(raw: Buffer, signature: unknown): Promise<void> {
    if (!verifySignature(this.#webhookSecret, raw, typeof signature === 'string' ? signature : undefined)) {
      throw new Problem(401, 'the signature is not that of the registered webhook')
    }
    const notice = Notice.safeParse(json(raw.toString()))
    if (!notice.success) throw new Problem(400, 'that is no notice of KiotViet')
    const paths = notice.data.Notifications.flatMap(({ Action, Data }) => {
      const kind = CHANGES[Action.split('.')[0]!]
      return kind ? [kind, ...Data.map(({ Id, ProductId }) => `${kind}/${ProductId ?? Id}`)] : []
    })
    if (paths.length > 0)
      await this.#hf.cache.invalidateTag([...new Set(paths)].map((path) => this.#tag(path)))
  }

  /** Asks KiotViet, once, to tell this address of changes. */
  async subscribe(url: string): Promise<void> {
    const signal = AbortSignal.timeout(SUBSCRIBE_MS)
    const known = await this.#read<{ data: { url: string; type: string }[] }>('/webhooks', { signal })
    for (const change of Object.keys(CHANGES)) {
      const Type = `${change}.update`
      if (known.body.data.some((hook) => hook.url === url && hook.type === Type)) continue
      const Webhook = { Type, Url: url, IsActive: true, Description: 'Culi', Secret: this.#webhookSecret }
      await this.#read('/webhooks', { method: 'POST', body: JSON.stringify({ Webhook }), signal })
    }
  }

  #tag(path: string): string {
    return `kiotviet:${this.retailer}:${path}`
  }

  async #read<T>(path: string, init: RequestInit = {}): Promise<Reading<T>> {
    try {
      const headers = { retailer: this.retailer, ...(init.body && { 'content-type': 'application/json' }) }
      const answer = await this.#call(`${this.#api}${path}`, { ...init, headers })
      const body = json(await answer.text())
      if (answer.status === 404) throw new Problem(404, 'KiotViet has nothing under this id')
      if (!answer.ok || body === undefined) {
        throw new Unavailable(502, `KiotViet answered with ${answer.status} and nothing that could be used`)
      }
      const told = ['cache-status', 'age'].map((name) => [name, answer.headers.get(name) ?? ''])
      return { body: body as T, headers: Object.fromEntries(told.filter(([, value]) => value !== '')) }
    } catch (error) {
      const { aborted, reason } = init.signal ?? {}
      if (error instanceof Problem) throw error
      if (aborted && reason instanceof HoldfastError) throw reason // who asked has no right to it any more
      if (error instanceof LimitExceeded) {
        throw new Unavailable(503, 'KiotViet lets nobody in for a while', error.retryAfter)
      }
      const isLate = aborted || (error instanceof HoldfastError && error.code === 'LOAD_TIMEOUT')
      throw new Unavailable(isLate ? 504 : 502, `KiotViet ${isLate ? 'takes too long' : 'cannot be reached'}`)
    }
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
