import { createServer } from 'node:http'
import { verifySignature } from 'holdfast/http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { startWorker } from '../../test/support/processes.ts'
import { SHOPS, startKiotViet } from './kiotviet.ts'
import { listen } from './listen.ts'
import type { Simulator } from './simulator.ts'

type Body = Record<string, unknown> & { data: Record<string, unknown>[] }

describe('the simulator of KiotViet', () => {
  const shop = SHOPS[0]!
  let sim: Simulator
  beforeAll(async () => {
    sim = await startKiotViet()
  })
  afterEach(() => sim.reset())
  afterAll(() => sim.close())

  const form = (fields: Record<string, string> = {}) =>
    fetch(`${sim.url}/connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        scopes: 'PublicApi.Access',
        grant_type: 'client_credentials',
        client_id: shop.clientId,
        client_secret: shop.clientSecret,
        ...fields,
      }),
    })
  const login = async () => ((await (await form()).json()) as { access_token: string }).access_token
  const call = async (path: string, init: RequestInit = {}, token?: string) => {
    const headers = {
      retailer: shop.retailer,
      authorization: `Bearer ${token ?? (await login())}`,
      ...(typeof init.body === 'string' && { 'content-type': 'application/json' }),
      ...init.headers,
    }
    const answer = await fetch(sim.url + path, { ...init, headers })
    return { status: answer.status, body: (await answer.json()) as Body }
  }
  const control = (method: string, path: string, body?: object) =>
    fetch(`${sim.url}/__sim/${path}`, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })

  it('issues tokens for their life, and says no as OAuth does', async () => {
    expect(await (await form()).json()).toMatchObject({ expires_in: 86_400, token_type: 'Bearer' })
    const wrong = await form({ client_secret: 'no' })
    expect([wrong.status, await wrong.json()]).toEqual([400, { error: 'invalid_client' }])
    expect(await (await form({ scopes: 'all' })).json()).toEqual({ error: 'invalid_scope' })

    const token = await login()
    expect((await call('/products', {}, token)).status).toBe(200)
    await control('DELETE', 'tokens')
    expect(await call('/products', {}, token)).toMatchObject({
      status: 401,
      body: { responseStatus: { errorCode: 'UnAuthorizedException' } },
    })
    await control('POST', 'tokens', { expiresIn: 0 })
    expect((await call('/products')).status).toBe(401)
    await control('POST', 'tokens', { expiresIn: 86_400 })
  })

  it('answers page by page, in the order that is asked for', async () => {
    const first = await call('/products')
    expect(first.body).toMatchObject({ total: 60, pageSize: 20 })
    expect(first.body.data).toHaveLength(20)
    expect(first.body.data[0]).not.toHaveProperty('inventories')
    const second = await call('/products?pageSize=2&currentItem=20&includeInventory=true')
    expect(second.body.data).toMatchObject([{ id: 21, inventories: [{ productId: 21 }] }, { id: 22 }])
    const last = await call('/customers?orderBy=id&orderDirection=Desc&pageSize=500')
    expect(last.body).toMatchObject({ total: 45, pageSize: 100 })
    expect(last.body.data[0]).toMatchObject({ id: 45, contactNumber: expect.stringMatching(/^09\d{8}$/) })
    expect((await call('/invoices?lastModifiedFrom=2026-04-30')).body).toMatchObject({ total: 2 })
    expect((await call('/invoices/7')).body).toMatchObject({ code: 'HD000007', invoiceDetails: [{}] })
  })

  it('refuses as the real one: no shop, another shop, what is not there, what is over the quota', async () => {
    const refusal = async (path: string, headers: Record<string, string> = {}) => {
      const { status, body } = await call(path, { headers })
      return [status, (body.responseStatus as { errorCode: string } | undefined)?.errorCode]
    }
    expect(await refusal('/products', { retailer: '' })).toEqual([400, 'KvValidateException'])
    expect(await refusal('/products', { retailer: SHOPS[1]!.retailer })).toEqual([
      403,
      'KvForbiddenException',
    ])
    expect(await refusal('/products/999')).toEqual([404, 'KvNotFoundException'])
    expect(await refusal('/nothing')).toEqual([404, 'KvNotFoundException'])
    expect(await refusal('/products?pageSize=many')).toEqual([400, 'KvValidateException'])
    await control('POST', 'quota', { limit: 2 })
    expect((await refusal('/products'))[0]).toBe(200)
    expect((await refusal('/products'))[0]).toBe(200)
    expect(await refusal('/products')).toEqual([429, 'KvRateLimitException'])
    await control('POST', 'quota', { limit: 5_000 })
  })

  it('tells registered webhooks of a change, signed, in its other spelling', async () => {
    const heard: { signature: string; body: string }[] = []
    let failing = 1
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      heard.push({ signature: String(request.headers['x-hub-signature']), body })
      response.writeHead(failing-- > 0 ? 500 : 204).end()
    })
    const { port, close } = await listen(server)
    const Webhook = { Type: 'product.update', Url: `http://127.0.0.1:${port}/`, IsActive: true, Secret: 's3' }
    const made = await call('/webhooks', { method: 'POST', body: JSON.stringify({ Webhook }) })
    expect(made.body).toMatchObject({ type: 'product.update', isActive: true })
    expect(made.body).not.toHaveProperty('secret')
    expect((await call('/webhooks')).body.data).toHaveLength(1)

    const changed = await control('PATCH', 'products/3', { basePrice: 99_000 })
    expect(await changed.json()).toMatchObject({ item: { basePrice: 99_000 }, delivered: [204] })
    expect(heard).toHaveLength(2)
    const { signature, body } = heard[1]!
    expect(verifySignature('s3', body, signature)).toBe(true)
    expect(JSON.parse(body)).toMatchObject({
      Attempt: 2,
      Notifications: [
        {
          Action: `product.update.${shop.retailerId}`,
          Data: [{ Id: 3, BasePrice: 99_000, Inventories: [{ ProductId: 3 }] }],
        },
      ],
    })
    expect((await call('/products/3')).body).toMatchObject({ basePrice: 99_000 })

    expect((await call(`/webhooks/${String(made.body.id)}`, { method: 'DELETE' })).status).toBe(200)
    expect((await call('/webhooks')).body.data).toHaveLength(0)
    await close()
  })

  it('runs as a process of its own', async () => {
    const port = await freePort()
    const alone = await startWorker(new URL('./kiotviet.ts', import.meta.url), {
      env: { PORT: String(port) },
    })
    expect(await (await fetch(`http://127.0.0.1:${port}/__sim/calls`)).json()).toEqual({
      total: 0,
      byRoute: {},
    })
    await alone.stop()
    expect(alone.alive).toBe(false)
  })
})
