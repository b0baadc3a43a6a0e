/**
 * What the dashboard is tested against: the page built from its sources, an instance with something
 * of everything in it, and its administration on a loopback server.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { type AdminServer, type ServeAdminOptions, serveAdmin } from '../../src/admin/server.ts'
import type { Holdfast } from '../../src/holdfast.ts'
import { CLIENT, type TokenServer } from '../support/token-server.ts'
import { until } from '../support/until.ts'

/** Builds the page from its sources as they are, so that a test never meets an older one. */
export async function buildDashboard(): Promise<{ readonly directory: string; remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-dashboard-'))
  const root = fileURLToPath(new URL('../../dashboard', import.meta.url))
  await build({
    root,
    configFile: join(root, 'vite.config.ts'),
    logLevel: 'error',
    build: { outDir: directory },
  })
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** The administration at `/ops/` of a free port, patient with a browser that asks a lot. */
export async function serve(options: ServeAdminOptions): Promise<AdminServer & { readonly page: string }> {
  const server = await serveAdmin({
    port: 0,
    basePath: '/ops',
    limits: { reads: '100000/minute', writes: '10000/minute', strangers: '1000/minute' },
    ...options,
  })
  return Object.assign(server, { page: `${server.url}/` })
}

/** Something of everything: entries, denials, a lock with a waiter, runs, sessions, a token, dead letters. */
export async function fill(hf: Holdfast, idp: TokenServer): Promise<() => Promise<void>> {
  const users = Array.from({ length: 130 }, (_, i) => i)
  await Promise.all(
    users.map((i) =>
      hf.cache.set(
        `user:${i}`,
        { id: i, name: `Ada ${i}`, password: 'enchantress', roles: ['reader', 'writer'] },
        { ttl: i % 2 ? '5m' : '2h', tags: ['users'] },
      ),
    ),
  )
  await hf.cache.namespace('products').set('p1', 'a plain text', { ttl: '1h', tags: ['products'] })
  for (let i = 0; i < 8; i++) await hf.cache.get('user:1')
  await hf.cache.get('nobody')

  const chat = hf.limiter('chat', '3/hour')
  for (let i = 0; i < 5; i++) await chat.consume({ user: '42' })

  const lease = await hf.lock('plan:november').acquire()
  const waiter = new AbortController()
  const waiting = hf
    .lock('plan:november', { wait: '1h', signal: waiter.signal })
    .acquire()
    .catch(() => undefined)

  await hf.once('invoice:paid', async (step) => step('charge', () => 'receipt'))
  const broken = () => Promise.reject(new Error('card declined'))
  await hf.once('invoice:broken', broken, { isFinal: () => true }).catch(() => undefined)

  const sessions = hf.sessions<{ cart: string[] }>('web')
  for (const user of ['ada', 'ada', 'grace']) {
    const session = await sessions.create({ cart: ['book'] })
    await sessions.regenerate(session, { user })
  }
  await hf.tokens({ ...CLIENT, tokenUrl: idp.tokenUrl }).get()

  const mails = hf.queue<{ to: string; password: string }>('mails', {
    handle: (batch) => batch.map(({ body }) => (body.to === '' ? { dead: 'no receiver' } : { ok: true })),
  })
  for (const to of ['ada@example.com', '', '', '']) await mails.add({ to, password: 'enchantress' })
  await until('three letters are dead', async () => (await mails.stats()).dead === 3)
  return async () => {
    waiter.abort()
    await waiting
    await lease.release()
  }
}
