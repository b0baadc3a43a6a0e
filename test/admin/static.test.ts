import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAdmin } from '../../src/admin/admin.ts'
import { holdfast } from '../../src/holdfast.ts'

const HTML = '<!doctype html><title>Page</title>'
const SCRIPT = `console.log(${JSON.stringify('x'.repeat(2_000))})`
const TOKEN = 't'.repeat(40)

describe('the files of the dashboard', () => {
  const hf = holdfast()
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-static-'))
  const admin = (options: { dashboard?: boolean | string; basePath?: string } = {}) =>
    createAdmin({
      holdfast: hf,
      basePath: '/admin',
      dashboard: dir,
      tokens: [{ token: TOKEN, edition: 'enterprise', name: 'eve' }],
      ...options,
    })
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET', from = admin()) =>
    from.fetch(new Request(`http://localhost${path}`, { headers, method }), { address: '127.0.0.1' })

  beforeAll(() => {
    mkdirSync(join(dir, 'assets'))
    writeFileSync(join(dir, 'index.html'), HTML)
    writeFileSync(join(dir, 'assets', 'index-abc123.js'), SCRIPT)
    writeFileSync(join(dir, 'secrets.env'), 'TOKEN=1')
  })
  afterAll(async () => {
    rmSync(dir, { recursive: true, force: true })
    await hf.close()
  })

  it('are given to anybody, under a policy that allows nothing from elsewhere and nothing inline', async () => {
    const answer = await get('/admin/')
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe(HTML)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "img-src 'self' data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ])
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
  })

  it('are kept for ever where their name holds a hash, and revalidated by ETag where not', async () => {
    const script = await get('/admin/assets/index-abc123.js')
    expect(script.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    const page = await get('/admin/')
    const again = await get('/admin/', { 'if-none-match': `"other", W/${page.headers.get('etag')}` })
    expect([again.status, await again.text()]).toEqual([304, ''])
    expect((await get('/admin/', { 'if-none-match': '"other"' })).status).toBe(200)
  })

  it('travel packed where the browser can unpack, under a tag of their own', async () => {
    const plain = await get('/admin/assets/index-abc123.js')
    const packed = await get('/admin/assets/index-abc123.js', { 'accept-encoding': 'br, gzip' })
    expect(packed.headers.get('content-encoding')).toBe('gzip')
    const bytes = Buffer.from(await packed.arrayBuffer())
    expect(gunzipSync(bytes).toString()).toBe(SCRIPT)
    expect(bytes.length).toBeLessThan(SCRIPT.length / 4)
    expect(packed.headers.get('etag')).not.toBe(plain.headers.get('etag'))
  })

  it('answer HEAD without a body', async () => {
    const answer = await get('/admin/', {}, 'HEAD')
    expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([
      200,
      String(HTML.length),
      '',
    ])
  })

  it('stand below a slash: without it the browser is sent there, relative to wherever a proxy put us', async () => {
    const answer = await get('/admin?x=1')
    expect([answer.status, answer.headers.get('location')]).toEqual([308, 'admin/?x=1'])
  })

  it('are those of the page and nothing else of the disk', async () => {
    for (const path of [
      '/admin/secrets.env',
      '/admin/..%2f..%2fetc%2fpasswd',
      '/admin/assets/',
      '/admin/x',
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
  })

  it('leave the API and all other methods to the doorkeeper', async () => {
    expect((await get('/admin/api/v1/health')).status).toBe(401)
    expect((await get('/admin/api')).status).toBe(401)
    expect((await get('/admin/', {}, 'DELETE')).status).toBe(401)
    expect((await get('/administrator')).status).toBe(401)
  })

  it('are missing with a sentence that says what to do, until they are built', async () => {
    const later = join(dir, 'later')
    const from = admin({ dashboard: later })
    const missing = await get('/admin/', {}, 'GET', from)
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'text/plain; charset=utf-8'])
    expect(await missing.text()).toContain('npm run build')
    mkdirSync(later)
    writeFileSync(join(later, 'index.html'), HTML)
    expect((await get('/admin/', {}, 'GET', from)).status).toBe(200)
  })

  it('are not served at all with dashboard: false, and stand at the root without a base path', async () => {
    expect((await get('/admin/', {}, 'GET', admin({ dashboard: false }))).status).toBe(401)
    expect((await get('/', {}, 'GET', admin({ basePath: '' }))).status).toBe(200)
  })
})
