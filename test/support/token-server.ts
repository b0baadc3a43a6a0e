/**
 * An OAuth token endpoint and an API behind it, over real HTTP on loopback, with a call counter and
 * switches for everything that such endpoints do wrong.
 *
 *   const idp = await startTokenServer()
 *   idp.tokenUrl, idp.apiUrl            // POST form → JSON; GET with Bearer → 200 or 401
 *   idp.calls, idp.forms                // what the endpoint was asked
 *   idp.expiresIn = '3600'              // number, text, or undefined = left out
 *   idp.rotating = true                 // each refresh answers with a new refresh token, the old one is dead
 *   idp.answer = (form) => ({ status: 500, text: '<h1>oops</h1>' })   // anything else
 *   idp.revoke(token)                   // the API answers 401 to it from now on
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

export interface TokenAnswer {
  readonly status?: number
  readonly json?: unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Never answers. */
  readonly silent?: true
}

export interface TokenServer {
  readonly tokenUrl: string
  readonly apiUrl: string
  calls: number
  readonly forms: Record<string, string>[]
  readonly apiCalls: { readonly headers: IncomingMessage['headers']; readonly body: string }[]
  /** Refresh tokens that were used twice: a real endpoint kills the whole family. */
  reuses: number
  /** API calls that carried a token past its life. */
  expiredUses: number
  expiresIn: number | string | undefined
  delayMs: number
  rotating: boolean
  /** Answers a refresh without a refresh token. */
  omitsRefresh: boolean
  answer: ((form: Record<string, string>) => TokenAnswer | undefined) | undefined
  /** Every secret that it knows or issued: none of them may show up anywhere. */
  secrets(): string[]
  revoke(token: string): void
  stop(): Promise<void>
}

export const CLIENT = { clientId: 'shop-client', clientSecret: 'a-client-secret-nobody-may-see' } as const

export async function startTokenServer(): Promise<TokenServer> {
  const issued = new Map<string, number>()
  const refreshTokens = new Map<string, 'live' | 'used'>()
  const revoked = new Set<string>()
  const secrets = new Set<string>([CLIENT.clientSecret])
  const make = (kind: string) => {
    const value = `${kind}-${randomBytes(18).toString('base64url')}`
    secrets.add(value)
    return value
  }

  const grant = (form: Record<string, string>, self: TokenServer): TokenAnswer => {
    if (form.client_id !== CLIENT.clientId || form.client_secret !== CLIENT.clientSecret) {
      return {
        status: 401,
        json: { error: 'invalid_client', error_description: `bad ${form.client_secret}` },
      }
    }
    let refresh: string | undefined
    if (form.grant_type === 'refresh_token') {
      const state = refreshTokens.get(form.refresh_token ?? '')
      if (state !== 'live') {
        if (state === 'used') self.reuses++
        return { status: 400, json: { error: 'invalid_grant', error_description: form.refresh_token } }
      }
      if (self.rotating) {
        refreshTokens.set(form.refresh_token!, 'used')
        refresh = make('rt')
      } else if (!self.omitsRefresh) refresh = form.refresh_token
    } else if (form.grant_type === 'authorization_code') {
      if (form.code !== 'good-code') return { status: 400, json: { error: 'invalid_grant' } }
      refresh = make('rt')
    } else if (form.grant_type !== 'client_credentials') {
      return { status: 400, json: { error: 'unsupported_grant_type' } }
    }
    if (refresh) refreshTokens.set(refresh, 'live')
    const token = make('at')
    issued.set(token, Date.now() + Number(self.expiresIn ?? 3_600) * 1_000)
    return {
      json: {
        access_token: token,
        token_type: 'bearer',
        scope: form.scopes ?? form.scope,
        ...(self.expiresIn === undefined ? {} : { expires_in: self.expiresIn }),
        ...(refresh ? { refresh_token: refresh } : {}),
      },
    }
  }

  const server = createServer(async (req: IncomingMessage, res: ServerResponse) => {
    let body = ''
    for await (const chunk of req) body += String(chunk)
    if (req.url?.startsWith('/token')) {
      self.calls++
      const form = Object.fromEntries(new URLSearchParams(body))
      self.forms.push(form)
      if (self.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, self.delayMs))
      const answer = self.answer?.(form) ?? grant(form, self)
      if (answer.silent) return
      const { status = 200, json, text, headers = {} } = answer
      const type = json === undefined ? 'text/html' : 'application/json'
      res.writeHead(status, { 'content-type': type, ...headers })
      res.end(json === undefined ? text : JSON.stringify(json))
      return
    }
    const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1] ?? ''
    self.apiCalls.push({ headers: req.headers, body })
    const until = issued.get(token)
    if (until !== undefined && until <= Date.now()) self.expiredUses++
    const good = until !== undefined && until > Date.now() && !revoked.has(token)
    res.writeHead(good ? 200 : 401, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ good, body }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  const address = server.address()
  const base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  const self: TokenServer = {
    tokenUrl: `${base}/token`,
    apiUrl: `${base}/api`,
    calls: 0,
    forms: [],
    apiCalls: [],
    reuses: 0,
    expiredUses: 0,
    expiresIn: 86_400,
    delayMs: 0,
    rotating: false,
    omitsRefresh: false,
    answer: undefined,
    secrets: () => [...secrets],
    revoke: (token) => void revoked.add(token),
    async stop() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return self
}
