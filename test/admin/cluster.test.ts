import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../support/cluster.ts'
import { CLIENT, startTokenServer, type TokenServer } from '../support/token-server.ts'
import { until } from '../support/until.ts'
import { closeDesks, type Desk, openDesk } from './desk.ts'

let cluster: TestCluster
let idp: TokenServer
let desk: Desk
beforeAll(async () => {
  cluster = await startCluster()
  idp = await startTokenServer()
  desk = await openDesk({ cluster: cluster.urls })
}, 60_000)
afterAll(async () => {
  await closeDesks()
  await idp.stop()
  await cluster.stop()
})

/** Every page of a list, a few at a time. */
async function all(path: string, field: string, limit: number): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = []
  let cursor: string | undefined
  for (let page = 0; page < 200; page++) {
    const more = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { status, body } = await desk.ask('GET', `${path}limit=${limit}${more}`, 'E')
    expect([path, status]).toEqual([path, 200])
    expect(body[field].length).toBeLessThanOrEqual(limit)
    found.push(...body[field])
    cursor = body.cursor
    if (cursor === undefined || cursor === null) return found
  }
  throw new Error(`${path} did not end`)
}

describe('administration of a Cluster', () => {
  it('lists what stands on every master, page by page, and acts on each [S1-24, S3-45]', async () => {
    const { hf, ask } = desk
    const numbers = Array.from({ length: 30 }, (_, i) => i)
    const leases = await Promise.all(numbers.map((i) => hf.lock(`l${i}`, { ttl: '5m' }).acquire()))
    await Promise.all(numbers.map((i) => hf.once(`o${i}`, () => i)))
    const chat = hf.sessions('chat')
    await Promise.all(numbers.map((i) => chat.create({ i }, { user: `u${i % 3}` })))
    await Promise.all(numbers.map((i) => hf.cache.set(`k${i}`, i, { tags: [`t${i}`, 'all'], ttl: '5m' })))
    idp.expiresIn = 3_600
    await hf.tokens({ ...CLIENT, tokenUrl: idp.tokenUrl, local: 0 }).get()
    const limiter = hf.limiter('api', '1/hour')
    for (let i = 0; i < 3; i++) await limiter.consume({ user: '1' })
    const names = (rows: readonly Record<string, unknown>[], field: string) =>
      [...new Set(rows.map((row) => String(row[field])))].sort()
    const wanted = (prefix: string) => numbers.map((i) => `${prefix}${i}`).sort()
    expect(names(await all('/api/v1/locks?pattern=l*&', 'locks', 7), 'name')).toEqual(wanted('l'))
    expect(names(await all('/api/v1/once?', 'records', 7), 'key')).toEqual(wanted('o'))
    expect(names(await all('/api/v1/sessions?store=chat&', 'sessions', 7), 'idHash')).toHaveLength(30)
    const tags = names(await all('/api/v1/cache/tags?', 'tags', 7), 'tag')
    expect(tags).toEqual(['all', ...wanted('t')].sort())
    expect((await ask('GET', '/api/v1/tokens', 'E')).body).toMatchObject([{ state: 'valid' }])
    const dry = await ask('DELETE', '/api/v1/cache/tags/all?dryRun=true', 'E')
    expect(dry.body).toMatchObject({ would_invalidate: 30, exact: true })
    const root = (await ask('GET', '/api/v1/cache/namespaces', 'E')).body[0]
    expect(root).toMatchObject({ namespace: '', keys: 30 })
    await until('the figures arrive', async () => {
      const { body } = await ask('GET', '/api/v1/limits', 'E')
      return body.find(({ name }: { name: string }) => name === 'api')?.denied === 2
    })
    expect((await ask('DELETE', '/api/v1/limits/api/user:1', 'E')).status).toBe(200)
    expect((await limiter.consume({ user: '1' })).allowed).toBe(true)
    expect((await ask('DELETE', '/api/v1/locks/l7?confirm=l7', 'E')).body.released).toBe(1)
    expect((await hf.lock('l7').inspect()).holders).toEqual([])
    expect((await ask('DELETE', '/api/v1/sessions/chat/users/u1', 'E')).body.revoked).toBe(10)
    const left = await all('/api/v1/sessions?store=chat&', 'sessions', 50)
    expect(left).toHaveLength(20)
    const { stores } = (await ask('GET', '/api/v1/sessions', 'E')).body
    expect(stores).toEqual([{ name: 'chat', count: 20, truncated: false }])
    expect((await ask('GET', '/api/v1/slowlog', 'E')).status).toBe(200)
    await Promise.all(leases.map((lease) => lease.release()))
  }, 60_000)
})
