import { describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { createHttpCache } from '../../src/http/engine.ts'
import { got } from './http-harness.ts'
import { LEAK_CASES, type LeakSubject } from './leak-matrix.ts'
import { describeLeaks, findLeak } from './leak-runs.ts'

const engine: LeakSubject = {
  canChooseScheme: true,
  async start(app, { profile, route }) {
    const cache = createCache()
    const http = createHttpCache({ cache, profile })
    return {
      async ask({ method = 'GET', url = '/', host = 'shop.example', scheme = 'http', headers = {} }) {
        const reply = await http.handle(
          { method, url, host, scheme, headers },
          async (seen) => {
            const answer = await app({
              method: seen.method,
              url: seen.url,
              host: seen.host ?? '',
              scheme: seen.scheme ?? 'http',
              headers: seen.headers as Record<string, string | undefined>,
            })
            return { status: answer.status ?? 200, headers: answer.headers, body: answer.body }
          },
          route,
        )
        const { status, fields, text } = await got(reply)
        const flat = Object.fromEntries([...fields.names()].map((name) => [name, fields.get(name) ?? '']))
        return { status, headers: flat, body: text }
      },
      close: () => cache.close(),
    }
  },
}

describeLeaks('the engine', engine)

/** What many put together in an afternoon: the last part of the URL is the key, and the first answer the value. */
const naive: LeakSubject = {
  canChooseScheme: true,
  async start(app) {
    const known = new Map<string, Promise<Awaited<ReturnType<typeof app>>>>()
    return {
      async ask({ method = 'GET', url = '/', host = 'shop.example', scheme = 'http', headers = {} }) {
        const key = url
          .toLowerCase()
          .replace(/[?%].*$/s, '')
          .slice(0, 100)
          .replace(/^http:\/\/[^/]*|^\/b(?=\/)/, '')
        const answer = known.get(key) ?? Promise.resolve(app({ method, url, host, scheme, headers }))
        known.set(key, answer)
        const { status = 200, headers: fields, body } = await answer
        const flat = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))
        return { status, headers: flat, body }
      },
      close: async () => {},
    }
  },
}

describe('the matrix', () => {
  it.each(LEAK_CASES.map((one) => [one.name, one] as const))('catches a naive cache: %s', async (_, one) => {
    expect(await findLeak(naive, 'safe', one)).toBeDefined()
  })
})
