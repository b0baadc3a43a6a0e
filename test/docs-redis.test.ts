import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAdmin } from '../src/admin/index.ts'
import { type Holdfast, holdfast } from '../src/index.ts'
import { markdownPages, tableRows } from './support/markdown.ts'
import { type RedisServer, startRedis } from './support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from './support/token-server.ts'
import { until } from './support/until.ts'

const pages = new Map(markdownPages().map((page) => [page.path, page]))
const keysPage = pages.get('docs/24.keys.md')!
const aclLine = /^user (shop on >\S+ .+)$/m.exec(pages.get('docs/22.security.md')!.text)?.[1] ?? ''

/** What the page says of names: `hf:<ns>:lock:{<name>}` with anything for what stands in <>. */
function documented(heading: string): RegExp[] {
  const section = keysPage.text.slice(keysPage.text.indexOf(heading))
  const names = tableRows({ path: '', text: section.slice(0, section.indexOf('\n## ', 5)) })
    .flatMap(([first = '']) =>
      [...first.matchAll(/`([^`]+)`(…?)/g)].map(([, name = '', more]) => name + more),
    )
    .filter((name) => /^h?f?:/.test(name))
  let whole = ''
  return names.map((name) => {
    // `hf:…:lease`, `:fence`: the last part of the one before is replaced.
    if (name.startsWith('hf:')) whole = name
    const full = name.startsWith('hf:') ? name : whole.replace(/:[^:]*$/, name)
    const pattern = full
      .replace(/…$/, '<more>')
      .split(/(<[^>]+>)/)
      .map((part) => (part.startsWith('<') ? '[\\s\\S]*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
    return new RegExp(`^${pattern.join('')}$`)
  })
}

const unknown = (names: readonly string[], patterns: readonly RegExp[]) =>
  names.filter((name) => !patterns.some((pattern) => pattern.test(name)))

describe('what the documentation says of Redis', () => {
  let redis: RedisServer
  let idp: TokenServer
  let hf: Holdfast
  beforeAll(async () => {
    redis = await startRedis({ acl: [aclLine], password: 'harness' })
    idp = await startTokenServer()
    const [, password] = / >(\S+) /.exec(aclLine) ?? []
    hf = holdfast({
      redis: { host: '127.0.0.1', port: redis.port, username: 'shop', password },
      namespace: 'shop',
      encryption: { keys: { a: Buffer.alloc(32, 7) } },
      deadlines: { connect: '5s', read: '5s', write: '5s', invalidate: '5s' },
    })
    await hf.ready('20s')
  }, 60_000)
  afterAll(async () => {
    await hf?.close()
    await idp?.stop()
    await redis?.stop()
  })

  it('every part works as the user of the page about security, and leaves the keys of the page about keys [S2-21][S3-40]', async () => {
    const slow = { deadline: '5s' } as const
    const { cache } = hf
    await cache.getOrSet('product:7', () => ({ price: 4 }), { stale: '1h', tags: ['products'] })
    await cache.namespace('reports').set('a{b}*', 1, { sensitive: true })
    await cache.invalidateTag('products')
    expect(await cache.deletePattern('product:*')).toBe(1)
    const fenced = cache.mutate({ keys: ['x'], tags: ['y'] }, () => named('f:k:x', 'f:t:y'))
    await fenced
    await cache.getOrSet('leased', () => named('l:leased'))

    const chat = hf.limiter('chat', '1/minute', slow)
    await chat.consume({ user: 'anna' })
    expect((await chat.consume({ user: 'anna' })).degraded).toBe(false)
    await hf.limiter('plain', '5/minute', slow).consume('bob')
    const permit = await hf.concurrency('exports', 3, slow).acquire({ workspace: 'w1' })
    await hf.outbound('graph', '200/hour').run(async () => 1, { id: 'b1' })

    const lock = await hf.lock('plan', { wait: '20s' }).acquire()
    const next = hf.lock('plan', { wait: '20s' }).acquire()
    await named('lock:{plan}:q', 'lock:{plan}:a')
    const seat = await hf.semaphore('render', 4).acquire()
    const reading = await hf.readWrite('catalogue').read.acquire()
    await lock.release()
    await (await next).release()
    await seat.release()
    await reading.release()
    await hf.once('settle', async (step) => await step('pay', () => named('once:{settle}')), { payload: 7 })

    const sessions = hf.sessions<{ cart: string[] }>('web', slow)
    const session = await sessions.create({ cart: ['tea'] }, { user: 'anna' })
    await sessions.regenerate(session)
    expect(await sessions.listByUser('anna')).toHaveLength(1)
    await hf.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT, storeDeadline: '5s' }).get()

    const queue = hf.queue<{ n: number }>('mail', {
      partitions: 2,
      deadline: '5s',
      id: ({ n }) => `id${n}`,
      handle: (batch) => batch.map(({ body }) => (body.n === 3 ? { dead: 'bad' } : { ok: true })),
    })
    await Promise.all([1, 2, 3].map((n) => queue.add({ n })))
    await queue.drain()
    expect(await queue.dead.list()).toHaveLength(1)

    await hf.redis?.command('ZADD', 'leaderboard', '10', 'ada')
    const admin = createAdmin({ holdfast: hf, open: true })
    const cleared = await admin.fetch(
      new Request('http://localhost/api/v1/cache/clear?confirm=shop', { method: 'DELETE' }),
      { address: '127.0.0.1' },
    )
    expect(cleared.status).toBe(200)
    await named('raw:{admin:audit}', 'rl:chat:{%stats}:top')
    await permit.release()

    const said = [...documented('## The cache'), ...documented('## The other parts')]
    expect(said.length).toBeGreaterThan(25)
    expect(unknown(await keys(), said)).toEqual([])
    const open = (await redis.cli('PUBSUB', 'CHANNELS', '*')) as readonly unknown[]
    expect(unknown(open.map(String), documented('## Channels'))).toEqual([])
  }, 90_000)

  it('that user reaches nothing else: no other keys, no KEYS, no FLUSHALL, no CONFIG [S2-23]', async () => {
    const [, password = ''] = / >(\S+) /.exec(aclLine) ?? []
    const stranger = await redis.connect({ username: 'shop', password })
    for (const words of [
      ['GET', 'other:key'],
      ['GET', 'hf:blog:raw:{a}'],
      ['GET', 'hf:{blog:0}:w'],
      ['KEYS', '*'],
      ['FLUSHALL'],
      ['CONFIG', 'GET', '*'],
      ['ACL', 'LIST'],
      ['SUBSCRIBE', 'other'],
    ]) {
      await expect(stranger.send(...words), words.join(' ')).rejects.toThrow(/NOPERM/)
    }
    stranger.close()
  })

  async function keys(): Promise<string[]> {
    return ((await redis.cli('KEYS', '*')) as readonly unknown[]).map(String).sort()
  }

  /** Waits until keys that end so have been there. */
  async function named(...ends: string[]): Promise<void> {
    for (const end of ends) {
      await until(`a key ${end}`, async () => (await keys()).some((key) => key.endsWith(end)), 20_000)
    }
  }
})
