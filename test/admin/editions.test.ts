import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EDITIONS } from '../../src/admin/permissions.ts'
import type { Route } from '../../src/admin/route.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { closeDesks, type Desk, openDesk, requestOf, TOKENS } from './desk.ts'

let redis: RedisServer
let desk: Desk
beforeAll(async () => {
  redis = await startRedis()
  desk = await openDesk(redis.url)
})
afterAll(async () => {
  await closeDesks()
  await redis.stop()
})

const WHO = { C: 'community', B: 'business', E: 'enterprise' } as const
/** A path that the route takes, of things that are not there: whoever may ask gets 200, 400 or 404. */
const pathOf = ({ path }: Route): string => path.replace(/:\w+/g, 'nothing')

describe('editions', () => {
  it('open every route to those whose table has its permission, and to nobody without a token [S3-5, S3-41, S3-40]', async () => {
    expect(desk.admin.routes.length).toBeGreaterThan(35)
    for (const route of desk.admin.routes) {
      const path = pathOf(route)
      for (const [who, edition] of Object.entries(WHO) as ['C' | 'B' | 'E', keyof typeof EDITIONS][]) {
        const granted: readonly string[] = EDITIONS[edition]
        const { status, type } = await desk.ask(route.method, path, who)
        const seen = [route.method, path, who, status === 403 ? 'refused' : 'let in']
        const may = granted.includes(route.permission) ? 'let in' : 'refused'
        expect(seen).toEqual([route.method, path, who, may])
        expect([200, 400, 403, 404]).toContain(status)
        if (status !== 200) expect(type).toBe('application/problem+json')
      }
      const { status, headers } = await desk.ask(route.method, path)
      expect([path, status]).toEqual([path, 401])
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
    }
  })

  it('give the operator what S3 gives to Business, and the rest to Enterprise [S3-5]', () => {
    expect(EDITIONS.community).toEqual(['me'])
    expect(EDITIONS.business).toEqual(expect.arrayContaining(['stats', 'cache.clear']))
    for (const kept of ['cache.list', 'cache.read', 'cache.reveal', 'sessions.read', 'audit']) {
      expect(EDITIONS.business).not.toContain(kept)
      expect(EDITIONS.enterprise).toContain(kept)
    }
    const known = new Set<string>(EDITIONS.enterprise)
    for (const { permission } of desk.admin.routes) expect(known).toContain(permission)
  })

  it('refuse a tenant what concerns the whole application, and give it the rest of its namespace alone [S3-6, B19]', async () => {
    const { hf, ask } = desk
    await hf.cache.namespace('a').set('mine', 1, { tags: ['red'] })
    await hf.cache.namespace('b').set('theirs', 2, { tags: ['blue'] })
    await hf.cache.set('root', 3, { tags: ['green'] })
    for (const route of desk.admin.routes) {
      const { status } = await ask(route.method, pathOf(route), 'T')
      if (route.tenants)
        expect([route.path, [200, 400, 404]]).toEqual([route.path, expect.arrayContaining([status])])
      else expect([route.path, status]).toEqual([route.path, 403])
    }
    expect((await ask('GET', '/api/v1/cache/tags', 'T')).body.tags).toEqual([{ tag: 'red' }])
    const namespaces = (await ask('GET', '/api/v1/cache/namespaces', 'T')).body
    expect(namespaces.map(({ namespace }: { namespace: string }) => namespace)).toEqual(['a'])
    for (const key of ['theirs', 'b|theirs', 'root', '..|b|theirs', '|b|theirs']) {
      const { status, body } = await ask('GET', `/api/v1/cache/explain/${encodeURIComponent(key)}`, 'T')
      expect([key, status === 200 ? body.state : 'absent']).toEqual([key, 'absent'])
    }
    await ask('DELETE', '/api/v1/cache/tags/blue', 'T')
    await ask('DELETE', '/api/v1/cache/tags/green', 'T')
    await ask('DELETE', '/api/v1/cache/key/b%7Ctheirs', 'T')
    expect(await hf.cache.namespace('b').get('theirs')).toBe(2)
    expect(await hf.cache.get('root')).toBe(3)
  })
})

describe('the document of the API', () => {
  it('names every route with its parameters, and nothing else [S3-19]', async () => {
    const { body } = await desk.ask('GET', '/api/v1/openapi.json', 'C')
    expect(body.openapi).toBe('3.1.0')
    const listed = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
    )
    const served = desk.admin.routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    expect(listed.sort()).toEqual(served.sort())
    const ids = new Set<string>()
    for (const route of desk.admin.routes) {
      const path = route.path.replace(/:(\w+)/g, '{$1}')
      const operation = body.paths[path][route.method.toLowerCase()]
      ids.add(operation.operationId)
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const parameters = operation.parameters as { name: string; in: string }[]
      expect(parameters.filter((one) => one.in === 'path').map(({ name }) => name)).toEqual(named)
      expect(parameters.filter((one) => one.in === 'query').map(({ name }) => name)).toEqual(
        Object.keys(route.query ?? {}),
      )
      expect(operation.description).toContain(route.permission)
    }
    expect(ids.size).toBe(desk.admin.routes.length)
  })

  it('tells the truth: its parameters are taken, any other is refused, and answers are of the kind it says', async () => {
    const { body } = await desk.ask('GET', '/api/v1/openapi.json', 'C')
    interface Operation {
      readonly responses: { readonly 200: { readonly content: Record<string, { schema: { type: string } }> } }
    }
    const paths = Object.entries<{ readonly get?: Operation }>(body.paths)
    for (const [path, { get }] of paths) {
      if (get === undefined || path.includes('{')) continue
      const [[said, { schema }]] = Object.entries(get.responses[200].content) as [
        [string, { schema: { type: string } }],
      ]
      const request = requestOf('GET', path, TOKENS.E)
      const response = await desk.admin.fetch(request, { address: '127.0.0.1' })
      expect([path, response.status, response.headers.get('content-type')]).toEqual([path, 200, said])
      if (said === 'application/json') {
        expect([path, Array.isArray(await response.json()) ? 'array' : 'object']).toEqual([path, schema.type])
      } else await response.body?.cancel()
      expect((await desk.ask('GET', `${path}?surprise=1`, 'E')).status).toBe(400)
    }
  })
})
