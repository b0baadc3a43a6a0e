import { describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { FRAMEWORKS } from './app.ts'
import { memoryTruth, Shop } from './shop.ts'
import { startOf } from './start.ts'
import { type Answer, call, Visitor } from './wire.ts'

describe.each(FRAMEWORKS)('%s', (framework) => {
  it('answers without Redis: no cached or limited route fails, idempotent ones say 503, sessions too [S4-1]', async () => {
    const redis = await startRedis()
    const hf = holdfast({ redis: redis.url, namespace: 'outage' })
    await hf.ready('10s')
    const shop = new Shop(hf, memoryTruth())
    const app = await (await startOf(framework))(shop)
    try {
      await shop.truth.set('1', { title: 'here', version: 1 })
      const visitor = new Visitor()
      await until('a session', async () => {
        const answer = await visitor.call(app.url, '/session/add', { method: 'POST', data: { item: 'tea' } })
        return answer.status < 300
      })

      const answers: Answer[] = []
      const isOver = { now: false }
      const load = Array.from({ length: 4 }, async (_, worker) => {
        while (!isOver.now) {
          answers.push(await call(app.url, worker % 2 ? '/tasks/1' : '/limited'))
          await new Promise((resolve) => setTimeout(resolve, 2))
        }
      })
      await until('load', () => answers.length > 20)
      await redis.kill()
      const before = answers.length
      await until('load during the outage', () => answers.length > before + 60, 15_000)

      const order = await call(app.url, '/orders', {
        method: 'POST',
        data: {},
        headers: { 'idempotency-key': 'a' },
      })
      expect(order.status).toBe(503)
      expect(order.headers['content-type']).toMatch(/^application\/problem\+json/)
      expect(Number(order.headers['retry-after'])).toBeGreaterThan(0)
      expect((await visitor.call(app.url, '/session')).status).toBe(503)
      expect((await call(app.url, '/session')).status).toBe(200)
      const health = await call(app.url, '/health')
      expect([health.status, health.json().status]).toEqual([200, 'degraded'])
      const patched = await call(app.url, '/tasks/1', { method: 'PATCH', data: { title: 'changed' } })
      expect(patched.status).toBe(200)
      expect((await call(app.url, '/tasks/1')).json().title).toBe('changed')

      await redis.restart()
      await until(
        'it is well again',
        async () => (await call(app.url, '/health')).json().status === 'ok',
        20_000,
      )
      const after = answers.length
      await until('load afterwards', () => answers.length > after + 20)
      isOver.now = true
      await Promise.all(load)
      expect(answers.filter(({ status }) => status >= 500)).toEqual([])
    } finally {
      await app.close()
      await redis.stop()
    }
  }, 60_000)

  it('drains: answers what is open, takes no more, and closes the instance', async () => {
    const hf = holdfast()
    const shop = new Shop(hf, memoryTruth())
    const app = await (await startOf(framework))(shop)
    const open = call(app.url, '/slow', { headers: { connection: 'keep-alive' } })
    await until('the handler began', () => (shop.calls.slow ?? 0) > 0)
    const closing = app.close()
    const answer = await open
    expect([answer.status, answer.broken, answer.json()]).toEqual([200, false, { slept: 400 }])
    expect(answer.headers.connection).toBe('close')
    await closing
    expect(hf.health().status).toBe('down')
    await expect(call(app.url, '/health')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
