import 'reflect-metadata'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { afterEach, describe, expect, it } from 'vitest'
import { type Admin, createAdmin } from '../../src/admin/admin.ts'
import * as forExpress from '../../src/express/index.ts'
import * as forFastify from '../../src/fastify/index.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import * as forHono from '../../src/hono/index.ts'
import * as forNest from '../../src/nest/index.ts'
import { GRANTS, TOKENS } from './desk.ts'

interface Running {
  readonly url: string
  close(): Promise<unknown>
}

const portOf = (address: unknown): string => `http://127.0.0.1:${(address as AddressInfo).port}`

const STARTS: Readonly<Record<string, (admin: Admin) => Promise<Running>>> = {
  async express(admin) {
    const app = express()
    // As most applications have it: the body is gone from the socket when the administration is asked.
    app.use(express.json())
    app.use('/admin', forExpress.adminHandler(admin))
    const server = createServer(app)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { url: portOf(server.address()), close: () => new Promise((resolve) => server.close(resolve)) }
  },
  async fastify(admin) {
    const app = Fastify()
    await app.register(forFastify.adminRoutes, { prefix: '/admin', admin })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { url: portOf(app.server.address()), close: () => app.close() }
  },
  async hono(admin) {
    const app = new Hono()
    app.all('/admin/*', forHono.adminHandler(admin))
    const server = await new Promise<ReturnType<typeof serve>>((resolve) => {
      const made = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve(made))
    })
    return { url: portOf(server.address()), close: () => new Promise((resolve) => server.close(resolve)) }
  },
  async nest(admin) {
    class Empty {}
    Module({})(Empty)
    const app = await NestFactory.create(Empty, { logger: false })
    app.use('/admin', forNest.adminHandler(admin))
    await app.listen(0, '127.0.0.1')
    return { url: portOf(app.getHttpServer().address()), close: () => app.close() }
  },
}

// biome-ignore lint/suspicious/noExplicitAny: bodies are asserted field by field
type Body = any

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(framework: string, options: Partial<Parameters<typeof createAdmin>[0]> = {}) {
  const hf: Holdfast = holdfast()
  const admin = createAdmin({
    holdfast: hf,
    tokens: GRANTS,
    basePath: '/admin',
    dashboard: false,
    ...options,
  })
  const { url, close } = await STARTS[framework]!(admin)
  closing.push(
    () => hf.close(),
    close,
    () => admin.close(),
  )
  const ask = async (method: string, path: string, who?: keyof typeof TOKENS, body?: unknown) => {
    const headers: Record<string, string> = who ? { authorization: `Bearer ${TOKENS[who]}` } : {}
    if (body !== undefined) headers['content-type'] = 'application/json'
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const response = await fetch(`${url}/admin${path}`, init)
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      body: (await response.json()) as Body,
    }
  }
  return { hf, url, ask }
}

describe.each(Object.keys(STARTS))('the administration mounted in %s', (framework) => {
  it('answers a read, refuses a write, and takes a body [S3-20, S3-41]', async () => {
    const { hf, ask } = await start(framework)
    await hf.cache.set('a/b c', 1, { ttl: '1m' })
    const key = await ask('GET', `/api/v1/cache/key/${encodeURIComponent('a/b c')}`, 'E')
    expect(key).toMatchObject({ status: 200, body: { key: 'a/b c', value: 1 } })
    for (const [who, status] of [
      ['C', 403],
      [undefined, 401],
    ] as const) {
      const refused = await ask('DELETE', '/api/v1/cache/clear?pattern=*', who)
      expect([refused.status, refused.type]).toEqual([status, 'application/problem+json'])
    }
    expect(await hf.cache.get('a/b c')).toBe(1)
    expect((await ask('POST', '/api/v1/once/none/resolve', 'E', { as: 'retry' })).status).toBe(404)
    expect((await ask('POST', '/api/v1/once/none/resolve', 'E', { as: 'never' })).status).toBe(400)
    const { body } = await ask('GET', '/api/v1/audit', 'E')
    expect(body.entries.at(-1)).toMatchObject({ who: 'carla', outcome: 'refused' })
    expect(body.entries.at(-1).address).toMatch(/^(?:::ffff:)?127\.0\.0\.1$/)
  })

  it('knows the peer of the socket, so that without tokens this machine gets in and no header helps [S3-37]', async () => {
    const { url } = await start(framework, { tokens: undefined, open: true })
    const get = (headers: Record<string, string>) =>
      fetch(`${url}/admin/api/v1/me`, { headers }).then(({ status }) => status)
    expect(await get({})).toBe(200)
    expect(await get({ origin: 'https://evil.example' })).toBe(403)
  })
})
