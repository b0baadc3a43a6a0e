/**
 * One page over all backends of the demo: what each is, where it is, how it does, live. Loopback only.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Backend } from '../../src/cli/demo-backend.ts'
import { listen } from '../simulators/listen.ts'
import { CATALOG, DASHBOARD } from './catalog.ts'
import { Traffic } from './traffic.ts'

export interface StageOptions {
  /** By name; two each where Redis is shared. */
  backends: Readonly<Record<string, readonly Backend[]>>
  port: number
  /** Where the caches live, password masked. */
  target: string
}

export interface Stage {
  readonly url: string
  readonly traffic: Traffic
  /** What the page shows. */
  state(): Promise<object>
  close(): Promise<void>
}

const file = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2d5fc0"
  d="M2 3h12v3H2zm0 4h12v3H2zm0 4h12v3H2z"/></svg>`
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export async function startStage({ backends, port, target }: StageOptions): Promise<Stage> {
  const traffic = new Traffic(backends)
  const files: Record<string, [type: string, body: string]> = {
    '/': ['text/html; charset=utf-8', file('page.html')],
    '/page.js': ['text/javascript; charset=utf-8', file('page.js')],
    '/page.css': ['text/css; charset=utf-8', file('page.css')],
    '/icon.svg': ['image/svg+xml', ICON],
  }
  const state = async () => ({
    target,
    traffic: traffic.isRunning,
    dashboardCode: DASHBOARD,
    backends: await Promise.all(Object.entries(backends).map(([name, all]) => describe(name, all, traffic))),
  })

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const send = (status: number, type: string, body: string) =>
      response
        .writeHead(status, {
          'content-type': type,
          'content-security-policy': POLICY,
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'cache-control': 'no-store',
        })
        .end(body)
    const path = request.url?.split('?')[0] ?? '/'
    const known = Object.hasOwn(files, path) ? files[path] : undefined
    if (!isOurs(request)) return send(403, 'text/plain', 'this answers its own page only\n')
    if (request.method === 'GET' && known) return send(200, ...known)
    if (request.method === 'GET' && path === '/state')
      return send(200, 'application/json', JSON.stringify(await state()))
    if (request.method === 'POST' && path === '/traffic') {
      traffic.start()
      return send(202, 'application/json', '{"traffic":true}')
    }
    return send(404, 'text/plain', 'there is nothing at this path\n')
  }
  const server = createServer(
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  )
  const listening = await listen(server, port)
  return {
    url: `http://127.0.0.1:${listening.port}/`,
    traffic,
    state,
    async close() {
      await traffic.stop()
      await listening.close()
    },
  }
}

/** Not a page of another site in the same browser, under whatever name it reached us: the state names tokens. */
function isOurs({ headers, method }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  const isSame = site === undefined || site === 'same-origin' || (site === 'none' && method === 'GET')
  return isSame && /^(?:127\.0\.0\.1|localhost)(?::\d+)?$/.test(headers.host ?? '')
}

async function describe(name: string, all: readonly Backend[], traffic: Traffic): Promise<object> {
  const first = all[0]!
  const { title, sentences, path, code, file: folder } = CATALOG[name]!
  const { asked, refused, failed, hitPercent, medianMs } = traffic.meters[name]!
  const upstreams = first.upstreams ? Object.values(first.upstreams) : first.upstream ? [first.upstream] : []
  const [calls, hitRate, cost] = await Promise.all([
    sum(upstreams.map((url) => number(`${url}/__sim/calls`, (body) => body.total ?? body.calls))),
    hitPercent ?? number(`${first.url}/stats`, (body) => (body.cache ?? body).hitRate),
    name === 'insight' ? number(`${first.upstream}/__sim/cost`, (body) => body.usd) : undefined,
  ])
  const token = first.adminTokens?.enterprise
  return {
    name,
    title,
    sentences,
    code,
    folder,
    urls: all.map(({ url }) => url + path),
    ...(token && { dashboard: { url: `${first.url}/admin/`, token } }),
    figures: { asked, refused, failed, hitRate, medianMs, calls, cost },
  }
}

interface Body {
  [name: string]: unknown
  cache?: Body
}

async function number(url: string, read: (body: Body) => unknown): Promise<number | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    const value = read((await answer.json()) as Body)
    return typeof value === 'number' ? value : undefined
  } catch {
    return undefined // it ended, or tells no such thing
  }
}

async function sum(parts: Promise<number | undefined>[]): Promise<number | undefined> {
  const known = (await Promise.all(parts)).filter((part) => part !== undefined)
  return known.length > 0 ? known.reduce((total, one) => total + one, 0) : undefined
}
