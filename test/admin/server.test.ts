import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type AdminServer, type ServeAdminOptions, serveAdmin } from '../../src/admin/server.ts'
import { holdfast } from '../../src/holdfast.ts'
import { until } from '../support/until.ts'
import { GRANTS, TOKENS } from './desk.ts'

const running: AdminServer[] = []
const instances: ReturnType<typeof holdfast>[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()))
  await Promise.all(instances.splice(0).map((hf) => hf.close()))
})

async function serve(options: Partial<ServeAdminOptions> = {}): Promise<AdminServer> {
  const hf = options.holdfast ?? holdfast()
  instances.push(hf)
  const server = await serveAdmin({ holdfast: hf, port: 0, dashboard: false, ...options })
  running.push(server)
  return server
}

const bearer = (who: keyof typeof TOKENS) => ({ headers: { authorization: `Bearer ${TOKENS[who]}` } })

/** One request as bytes, for what no client would send. */
function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')))
    socket.on('data', (chunk) => {
      answer += chunk
      socket.end()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
    socket.write(text)
  })
}

/** Events of a stream as they come. */
async function listen(url: string, init: RequestInit = {}) {
  const response = await fetch(url, init)
  const events: { event: string; data: Record<string, unknown> }[] = []
  let isOver = false
  let text = ''
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  void (async () => {
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }))
      if (done) break
      text += value
      const blocks = text.split('\n\n')
      text = blocks.pop()!
      for (const block of blocks) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? []
        if (event && data) events.push({ event, data: JSON.parse(data) })
      }
    }
    isOver = true
  })()
  return { response, events, isOver: () => isOver, end: () => reader.cancel() }
}

describe('the administration as a server', () => {
  it('listens on this machine alone unless it asks who is there [S3-37, S3-40]', async () => {
    const hf = holdfast()
    instances.push(hf)
    for (const host of ['0.0.0.0', '::', '10.1.2.3', 'example.com']) {
      await expect(serveAdmin({ holdfast: hf, host, port: 0 })).rejects.toThrow(/without authentication/)
    }
    await expect(serveAdmin({ holdfast: hf, port: 70_000 })).rejects.toThrow(/port/)
    await expect(serveAdmin({ holdfast: hf, host: '' })).rejects.toThrow(/host/)
    await expect(serveAdmin({ holdfast: hf, tokens: GRANTS, open: true })).rejects.toThrow(/contradicts/)
    const local = await serve()
    expect(local.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const stats = await fetch(`${local.url}/api/v1/cache/stats`)
    expect(stats.status).toBe(200)
    const wide = await serve({ host: '0.0.0.0', tokens: GRANTS })
    const { port } = new URL(wide.url)
    expect((await fetch(`http://127.0.0.1:${port}/api/v1/cache/stats`)).status).toBe(401)
    expect((await fetch(`http://127.0.0.1:${port}/api/v1/cache/stats`, bearer('B'))).status).toBe(200)
  })

  it('refuses, while it is open, pages of other sites and names that were bound to this address [S3-40]', async () => {
    const { url } = await serve()
    const get = (headers: Record<string, string>) =>
      fetch(`${url}/api/v1/me`, { headers }).then(({ status }) => status)
    expect(await get({})).toBe(200)
    expect(await get({ origin: url })).toBe(200)
    expect(await get({ origin: 'https://evil.example' })).toBe(403)
    expect(await get({ origin: 'null' })).toBe(403)
    expect(await get({ 'x-forwarded-for': '203.0.113.7' })).toBe(200)
    const host = await raw(url, 'GET /api/v1/me HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n')
    expect(host).toMatch(/^HTTP\/1\.1 403/)
    const write = await fetch(`${url}/api/v1/cache/clear?pattern=*`, {
      method: 'DELETE',
      headers: { origin: 'https://evil.example' },
    })
    expect(write.status).toBe(403)
  })

  it('answers requests that no client would send, and goes on', async () => {
    const { url } = await serve({ tokens: GRANTS })
    const auth = `Authorization: Bearer ${TOKENS.E}\r\nConnection: close\r\n`
    for (const line of [
      'GET http://[ HTTP/1.1',
      'GET //// HTTP/1.1',
      'TRACE /api/v1/me HTTP/1.1',
      'GET \\x HTTP/1.1',
    ]) {
      const answer = await raw(url, `${line}\r\nHost: localhost\r\n${auth}\r\n`)
      expect([line, answer.slice(0, 10)]).toEqual([line, expect.stringMatching(/^HTTP\/1\.1 4/)])
    }
    const up = await raw(
      url,
      `GET /api/v1/cache/key/../../../api/v1/me HTTP/1.1\r\nHost: localhost\r\n${auth}\r\n`,
    )
    expect(up).not.toMatch(/"passw/)
    expect((await fetch(`${url}/api/v1/me`, bearer('E'))).status).toBe(200)
  })

  it('streams the overview each second, invalidations, and to those who may see it the audit log [S2-29]', async () => {
    const server = await serve({ tokens: GRANTS })
    const hf = instances.at(-1)!
    const eve = await listen(`${server.url}/api/v1/stream`, bearer('E'))
    const bob = await listen(`${server.url}/api/v1/stream`, bearer('B'))
    expect(eve.response.headers.get('content-type')).toBe('text/event-stream')
    const has = (seen: typeof eve, name: string) => seen.events.some(({ event }) => event === name)
    await until('both saw the overview', () => has(eve, 'overview') && has(bob, 'overview'))
    await hf.cache.set('k', 1, { tags: ['red'] })
    await fetch(`${server.url}/api/v1/cache/tags/red`, { method: 'DELETE', ...bearer('B') })
    await until('the invalidation is told', () => has(eve, 'invalidation') && has(bob, 'invalidation'))
    await until('the audit entry is told', () => has(eve, 'audit'))
    await until('a second passed', () => eve.events.filter(({ event }) => event === 'overview').length > 1)
    expect(has(bob, 'audit')).toBe(false)
    const dropped = eve.events.find(({ event }) => event === 'invalidation')!
    expect(dropped.data).toMatchObject({ op: 'invalidate-tag', count: 1 })
    expect(JSON.stringify(dropped)).not.toContain('red')
    expect((await fetch(`${server.url}/api/v1/stream`, bearer('C'))).status).toBe(403)
    expect((await fetch(`${server.url}/api/v1/stream`, { method: 'HEAD', ...bearer('B') })).status).toBe(200)
    await bob.end()
  })

  it('bounds the number of streams, forgets those whose reader went, and ends all when it closes', async () => {
    const server = await serve({ tokens: GRANTS })
    const url = `${server.url}/api/v1/stream`
    const gone = new AbortController()
    const first = await listen(url, { ...bearer('B'), signal: gone.signal })
    const others: { response: Response; isOver(): boolean }[] = []
    for (let i = 0; i < 4; i++) others.push(await listen(url, bearer('B')))
    const sixth = await fetch(url, bearer('B'))
    expect(sixth.status).toBe(503)
    expect(sixth.headers.get('retry-after')).toBe('10')
    await sixth.text()
    gone.abort()
    await until('its place is free', async () => {
      const again = await fetch(url, bearer('B'))
      if (again.status === 200) others.push({ response: again, isOver: () => true })
      else await again.text()
      return again.status === 200
    })
    expect(first.response.status).toBe(200)
    await server.close()
    await until('every stream ended', () => others.every((one) => one.isOver()))
    await expect(fetch(`${server.url}/api/v1/me`, bearer('E'))).rejects.toThrow()
  })
})
