import { readFileSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

interface Service {
  image?: string
  user?: string
  profiles?: string[]
  command?: string[]
  ports?: string[]
  volumes?: string[]
  environment?: Record<string, string | number>
  healthcheck?: { test: string[]; interval: string; timeout: string; retries: number }
  depends_on?: Record<string, { condition: string }>
  build?: { context: string; dockerfile: string }
}
interface Compose {
  services: Record<string, Service>
  volumes: Record<string, null>
}

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const compose = parse(read('compose.yaml'), { merge: true, strict: true }) as Compose
const valkey = parse(read('compose.valkey.yaml'), { merge: true, strict: true }) as Compose
const { services } = compose
const always = Object.entries(services).flatMap(([name, { profiles }]) =>
  profiles === undefined ? [name] : [],
)

describe('compose.yaml', () => {
  it('[S4-5, S0-25] brings up two Redis and PostgreSQL, and one Redis by the profile "optional"', () => {
    expect(always).toEqual(['redis-cache', 'redis-data', 'postgres'])
    expect(services.redis?.profiles).toEqual(['optional'])
    expect(services.postgres?.ports).toEqual([`127.0.0.1:\${POSTGRES_PORT:-5432}:5432`])
    expect(services['redis-data']?.ports).toEqual([`127.0.0.1:\${REDIS_DATA_PORT:-6379}:6379`])
  })

  it('[S3-11] runs redis:7-alpine with an append-only file, on 6380, in a volume, with a healthcheck', () => {
    const { image, command, ports, volumes, healthcheck } = services['redis-cache']!
    expect(image).toBe('redis:7-alpine')
    expect(command?.join(' ')).toContain('--appendonly yes')
    expect(ports).toEqual([`127.0.0.1:\${REDIS_CACHE_PORT:-6380}:6379`])
    expect(volumes).toContain('redis_data:/data')
    expect(healthcheck).toMatchObject({ interval: '10s', timeout: '5s', retries: 5 })
    expect(healthcheck?.test.join(' ')).toContain('redis-cli ping')
  })

  it('[B28, S4-41, S2-23] publishes every port on loopback, and none without an address', () => {
    const published = Object.values(services).flatMap(({ ports = [] }) => ports)
    expect(published.length).toBeGreaterThan(8)
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:/)
    const outer = published.map((port) => /:(?:\$\{\w+:-)?(\d+)\}?:\d+$/.exec(port)?.[1])
    expect(new Set(outer).size).toBe(published.length)
  })

  it('[S2-42, B9] starts nothing without passwords, and holds none', () => {
    const text = read('compose.yaml')
    for (const name of ['REDIS_PASSWORD', 'HOLDFAST_PASSWORD', 'POSTGRES_PASSWORD']) {
      expect(text).toContain(`\${${name}:?`)
      expect(read('.env.example')).toMatch(new RegExp(`^${name}=$`, 'm'))
    }
    expect(read('.dockerignore').split('\n')).toContain('.env')
    for (const { environment = {} } of Object.values(services)) {
      for (const [name, value] of Object.entries(environment)) {
        if (/PASSWORD|AUTH$/.test(name)) expect(String(value)).toMatch(/^\$\{/)
      }
    }
  })

  it('gives applications the user of least privilege, and each role its server', () => {
    for (const name of ['culi', 'chatbot', 'chatbot-worker', 'metrics', 'tasks', 'insight']) {
      const { environment, depends_on, profiles, build } = services[name]!
      expect(profiles).toEqual(['optional'])
      expect(build?.dockerfile).toBe('deploy/Dockerfile')
      expect(environment?.REDIS_URL).toBe(`redis://holdfast:\${HOLDFAST_PASSWORD}@redis-cache:6379/0`)
      expect(environment?.REDIS_DATA_URL).toBe(`redis://holdfast:\${HOLDFAST_PASSWORD}@redis-data:6379/0`)
      expect(Object.values(depends_on ?? {})).toEqual(Array(3).fill({ condition: 'service_healthy' }))
    }
  })

  it('mounts files and names volumes that exist', () => {
    for (const [name, { volumes = [], command = [] }] of Object.entries(services)) {
      for (const volume of volumes) {
        const [from = ''] = volume.split(':')
        if (from.startsWith('./')) expect(() => statOf(from), name).not.toThrow()
        else expect(Object.keys(compose.volumes), name).toContain(from)
      }
      for (const part of command) {
        if (part.startsWith('/etc/holdfast/')) statOf(part.replace('/etc/holdfast', 'deploy/redis'))
        if (part.startsWith('examples/')) statOf(part)
      }
    }
  })

  it('runs on Valkey by a second file that changes image, user and healthcheck alone', () => {
    expect(Object.keys(valkey.services)).toEqual(['redis-cache', 'redis-data', 'redis'])
    for (const service of Object.values(valkey.services)) {
      expect(Object.keys(service).sort()).toEqual(['healthcheck', 'image', 'user'])
      expect(service.image).toMatch(/^valkey\/valkey:/)
    }
  })
})

describe('the image of the examples', () => {
  it('holds no secret, runs as nobody special, and copies what exists', () => {
    const text = read('deploy/Dockerfile')
    expect(text).toMatch(/^USER node$/m)
    expect(text).not.toMatch(/PASSWORD|SECRET|TOKEN/)
    for (const [, sources = ''] of text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)) {
      for (const source of sources.split(' ')) expect(() => statOf(source)).not.toThrow()
    }
  })
})

function statOf(path: string): void {
  statSync(new URL(`../../${path}`, import.meta.url))
}
