import pino from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { limitDegradedEvents } from '../../src/limit/events.ts'
import { type EventLog, logEvents, pinoLogger } from '../../src/observe/log.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

type Line = Record<string, unknown> & { level: number; msg: string }

let hf: Holdfast | undefined
let log: EventLog | undefined
afterEach(async () => {
  log?.close()
  await hf?.close()
})

/** A real pino, and what it wrote. */
function written() {
  const lines: Line[] = []
  const logger = pinoLogger(
    pino(
      { level: 'debug', base: null },
      { write: (line: string) => void lines.push(JSON.parse(line) as Line) },
    ),
  )
  return { logger, lines }
}

describe('the log', () => {
  it('[S2-38, B8] says of each operation what it was, how long it took, and a redacted key', async () => {
    const { logger, lines } = written()
    log = logEvents(logger, { operations: true })
    hf = holdfast()
    await hf.cache.namespace('users').getOrSet('customer:ada@example.com', () => 'secret', { ttl: '1m' })
    await hf.cache.set('plain-ada', 1)
    await hf.cache.delete('plain-ada')
    const get = lines.find(({ op }) => op === 'get')!
    expect(get.level).toBe(20)
    expect(get.msg).toMatch(/^Cache get - Key: customer:#[0-9a-f]{8}, Duration: \d+\.\d{3}s$/)
    expect(get).toMatchObject({
      namespace: 'users',
      outcome: 'miss',
      key: expect.stringMatching(/^customer:#/),
    })
    expect(get.durationMs).toBeGreaterThanOrEqual(0)
    expect(lines.map(({ op }) => op)).toEqual(['get', 'set', 'delete'])
    expect(JSON.stringify(lines)).not.toMatch(/ada|secret/)
  })

  it('[B8] gives the cache of an instance its lines with all fields, by pino too', async () => {
    const { logger, lines } = written()
    hf = holdfast({ logger })
    await hf.cache.getOrSet('customer:ada', () => 1, { ttl: '1m' })
    expect(lines[0]).toMatchObject({ level: 20, outcome: 'miss' })
    expect(lines[0]!.msg).toMatch(/^Cache .+ - Key: customer:#/)
    expect(JSON.stringify(lines)).not.toContain('ada')
  })

  it('writes failures without what their messages hold, and dead letters as errors', async () => {
    const { logger, lines } = written()
    log = logEvents(logger)
    hf = holdfast()
    await hf.cache
      .getOrSet('k', () => Promise.reject(new TypeError('password of ada')), { ttl: '1m' })
      .catch(() => 1)
    const queue = hf.queue<number>('mail', {
      handle: (batch) => batch.map(() => ({ dead: 'ada is unknown' })),
    })
    await queue.add(1)
    await expect
      .poll(() => lines.map(({ msg }) => msg))
      .toEqual(['loader failed', 'messages became dead letters'])
    expect(lines[0]).toMatchObject({ level: 40, error: 'TypeError' })
    expect(lines[1]).toMatchObject({ level: 50, queue: 'mail', dead: 1 })
    expect(JSON.stringify(lines)).not.toMatch(/ada|password/)
  })

  it('says the same once in ten seconds, and how often it was left out', async () => {
    const { logger, lines } = written()
    const clock = new FakeClock()
    log = logEvents(logger, { clock })
    const blind = { namespace: 'app', limiter: 'chat', policy: 'local', cause: 'REDIS_TIMEOUT' } as const
    for (let i = 0; i < 100; i++) limitDegradedEvents.publish(blind)
    limitDegradedEvents.publish({ ...blind, limiter: 'login' })
    expect(lines).toHaveLength(2)
    await clock.advance(10_000)
    limitDegradedEvents.publish(blind)
    expect(lines).toHaveLength(3)
    expect(lines[2]).toMatchObject({ limiter: 'chat', suppressed: 99 })
    // @ts-expect-error a slip of the hand
    expect(() => logEvents(logger, { operation: true })).toThrow(/did you mean 'operations'/)
  })
})
