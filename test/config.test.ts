import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Env } from '../src/base/env-reader.ts'
import { HoldfastError } from '../src/base/errors.ts'
import { configFromEnv } from '../src/config.ts'

const page = readFileSync(new URL('../docs/7.configuration.md', import.meta.url), 'utf8')

describe('the environment', () => {
  const rows = tableUnder('## Who wins')
  it('has a page with a table that can be run', () => expect(rows.length).toBeGreaterThan(25))

  it.each(rows)(
    'is decided as documented: %s | %s | %s [B20][S3-7][S3-8][S3-9][S2-43]',
    (given, target, named) => {
      const env = envOf(given!)
      const names = quoted(named!)
      if (target === 'refused') {
        const error = refusal(() => configFromEnv(env))
        expect(error.code).toBe('CONFIG')
        for (const name of names) expect(error.message).toContain(name)
        expect(error.message).not.toMatch(/secret|p#ss/)
        return
      }
      const config = configFromEnv(env)
      expect(config.target).toBe(quoted(target!)[0])
      expect(config.warnings.length > 0, config.warnings.join()).toBe(names.length > 0)
      for (const name of names) expect(config.warnings.join()).toContain(name)
      expect(config.warnings.join() + config.target + JSON.stringify(config.sources)).not.toMatch(
        /secret|p@ss/,
      )
    },
  )

  it.each(tableUnder('## Time to live'))(
    'gives lives as documented: %s [S3-10][S4-15][S4-26][S4-27][B29]',
    (...row) => {
      const [given, list, query, other] = row
      const { cache } = configFromEnv(envOf(given!), {
        ttls: { dataset_list: 60, query_result: 300 },
      }).options
      const seconds = (ttl: unknown) => `${Number(ttl ?? 300_000) / 1_000} s`
      expect(seconds(cache?.namespaces?.dataset_list?.ttl)).toBe(list)
      expect(seconds(cache?.namespaces?.query_result?.ttl)).toBe(query)
      expect(seconds(cache?.defaults?.ttl)).toBe(other)
    },
  )

  it.each([
    ['redis://localhost:6379', 'redis://localhost:6379'],
    ['redis://:secret@localhost:6379', 'redis://:***@localhost:6379'],
    ['redis://user:secret@localhost:6379', 'redis://user:***@localhost:6379'],
    ['redis://default:secret@eu1.upstash.example:6379', 'redis://default:***@eu1.upstash.example:6379'],
    ['redis://localhost:6379/3', 'redis://localhost:6379/3'],
    ['rediss://user:se%40cr%2Fet%25@[::1]:6380/1', 'rediss://user:***@[::1]:6380/1'],
  ])('understands %s and never shows the password [S4-46]', (url, shown) => {
    const config = configFromEnv({ REDIS_URL: url })
    expect(config.target).toBe(shown)
    expect(config.options.redis).toBe(url)
    expect(config.sources.redis).toBe('REDIS_URL')
  })

  it('keeps a password with reserved characters exact on its way into a URL [S4-46][S1-11][S1-12][S1-13]', () => {
    const password = 'p@ss:w/rd?#%é'
    const { options } = configFromEnv({
      REDIS_HOST: '::1',
      REDIS_PORT: '6380',
      REDIS_DB: '2',
      REDIS_PASSWORD: password,
    })
    const url = new URL(options.redis as string)
    expect(decodeURIComponent(url.password)).toBe(password)
    expect([url.hostname, url.port, url.pathname]).toEqual(['[::1]', '6380', '/2'])
  })

  it('splits the roles when a data URL differs, and not when it is the same', () => {
    const env = { REDIS_URL: 'redis://a:6379/0', REDIS_DATA_URL: 'redis://b:6379/0' }
    expect(configFromEnv(env).options.redis).toEqual({ cache: 'redis://a:6379/0', data: 'redis://b:6379/0' })
    expect(configFromEnv({ ...env, REDIS_DATA_URL: env.REDIS_URL }).options.redis).toBe('redis://a:6379/0')
  })

  it('takes the time to wait for Redis in seconds [S2-13]', () => {
    const { options } = configFromEnv({ REDIS_URL: 'redis://a', REDIS_SOCKET_TIMEOUT: '0.25' })
    expect(options.deadlines).toEqual({ connect: 250, read: 250, write: 250 })
    expect(() => configFromEnv({ REDIS_SOCKET_TIMEOUT: 'soon' })).toThrow('REDIS_SOCKET_TIMEOUT')
  })

  it('switches the cache and the limits off [S4-9]', () => {
    const config = configFromEnv({ CACHE_ENABLED: 'false', RATE_LIMIT_ENABLED: '0' })
    expect(config.options.cache).toEqual({ enabled: false })
    expect(config.features).toEqual({ cache: false, rateLimit: false })
    expect(configFromEnv({ CACHE_ENABLED: 'true' }).features).toEqual({ cache: true, rateLimit: true })
  })
})

function tableUnder(heading: string): string[][] {
  const section = page.slice(page.indexOf(heading)).split('\n## ')[0]!
  const rows = section.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)

function envOf(cell: string): Env {
  return Object.fromEntries(
    quoted(cell).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  )
}

function refusal(run: () => unknown): HoldfastError {
  try {
    run()
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  throw new Error('was not refused')
}
