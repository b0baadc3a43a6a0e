import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from '../support/token-server.ts'
import { closeDesks, openDesk } from './desk.ts'

/** The user of the security page: own keys and channels, nothing dangerous. */
const USER =
  'shop on >secret-word resetkeys ~hf:shop:* ~hf:{shop:* resetchannels &hf:shop:* &hf:{shop:* -@all +@read +@write +@scripting +@pubsub +@connection +@transaction -@dangerous -script -function +script|load +info +time +wait'

let redis: RedisServer
let idp: TokenServer
beforeAll(async () => {
  redis = await startRedis({ acl: [USER], renamed: true })
  idp = await startTokenServer()
})
afterAll(async () => {
  await closeDesks()
  await idp.stop()
  await redis.stop()
})

describe('administration with the least rights in Redis', () => {
  it('answers everything but the slowlog, and says what that needs [S2-21, S3-29, S3-38]', async () => {
    const url = redis.url.replace('redis://', 'redis://shop:secret-word@')
    const { hf, admin, ask } = await openDesk(url, {}, { namespace: 'shop' })
    await hf.cache.set('k', 1, { tags: ['red'] })
    await hf.limiter('api', '1/hour').consume('1')
    await hf.once('k', () => 1)
    await hf.sessions('web').create({ a: 1 }, { user: 'ada' })
    idp.expiresIn = 3_600
    await hf.tokens({ ...CLIENT, tokenUrl: idp.tokenUrl, local: 0 }).get()
    const lease = await hf.lock('k').acquire()
    for (const { method, path, answers } of admin.routes) {
      if (method !== 'GET' || answers === 'stream' || path.includes('queues/')) continue
      const asked = path.replace(':name/:subject', 'api/1').replace(/:\w+/g, 'k')
      const { status, body } = await ask('GET', asked, 'E')
      expect([asked, status]).toEqual([asked, asked.endsWith('slowlog') ? 501 : 200])
      if (status === 501) expect(body.detail).toContain('slowlog')
      expect(JSON.stringify(body)).not.toContain('secret-word')
    }
    const changes = [
      'cache/key/k',
      'cache/tags/red',
      'cache/clear?pattern=*',
      'limits/api/1',
      'locks/k?confirm=k',
      'sessions/web/users/ada',
    ]
    for (const path of changes) {
      expect([path, (await ask('DELETE', `/api/v1/${path}`, 'E')).status]).toEqual([path, 200])
    }
    expect((await ask('POST', '/api/v1/once/k/resolve', 'E', { as: 'retry' })).status).toBe(200)
    const { body } = await ask('GET', '/api/v1/audit', 'E')
    expect(body.entries.filter(({ outcome }: { outcome: string }) => outcome === 'done')).toHaveLength(7)
    await lease.release()
  })
})
