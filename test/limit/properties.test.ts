import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { systemClock } from '../../src/base/clock.ts'
import { MemoryLimitStore } from '../../src/limit/memory-store.ts'
import { compile } from '../../src/limit/policy.ts'
import { redisLimitStore } from '../../src/limit/redis-store.ts'
import type { LimitSpec } from '../../src/limit/spec.ts'
import type { Operation, Verb } from '../../src/limit/store.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { most } from '../../src/testing/limit-contract.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

/** A clock that stands at a given microsecond. */
class HandClock implements Clock {
  us = 1_790_000_000_000_000
  wall = () => this.mono()
  // Half a microsecond more, so that rounding down gives the same one back.
  mono = () => (this.us + 0.5) / 1_000
  after = systemClock.after
  endOfTick = systemClock.endOfTick
  afterInput = systemClock.afterInput
}

const operation = (
  verb: Verb,
  key: string,
  spec: string | LimitSpec | readonly LimitSpec[],
  cost: number,
  at = 0,
): Operation => ({
  verb,
  parts: [{ key, tag: key, policy: compile(spec) }],
  cost,
  at,
  deadline: 5_000,
})

const steps = fc.array(fc.record({ wait: fc.nat(40_000), cost: fc.integer({ min: 1, max: 6 }) }), {
  minLength: 1,
  maxLength: 120,
})

describe('a window, against an exact oracle', () => {
  const limits = fc.record({
    limit: fc.integer({ min: 1, max: 12 }),
    window: fc.integer({ min: 1, max: 200 }),
  })

  it('`log` admits exactly what (t - window, t] has room for [S0-10]', () => {
    fc.assert(
      fc.property(limits, steps, ({ limit, window }, calls) => {
        const clock = new HandClock()
        const store = new MemoryLimitStore(clock)
        const admitted: { at: number; cost: number }[] = []
        for (const { wait, cost } of calls) {
          clock.us += wait
          const used = admitted
            .filter((hit) => hit.at > clock.us - window * 1_000)
            .reduce((sum, hit) => sum + hit.cost, 0)
          const { allowed, at } = store.applyNow(
            operation('consume', 'k', { limit, window, algorithm: 'log' }, cost),
          )
          expect(allowed).toBe(used + cost <= limit)
          if (allowed) admitted.push({ at, cost })
        }
      }),
      { numRuns: 300 },
    )
  })

  it('`sliding` never admits more than the limit in any window, and what had room a sub-window ago [L4, S0-11]', () => {
    fc.assert(
      fc.property(limits, steps, ({ limit, window }, calls) => {
        const clock = new HandClock()
        const store = new MemoryLimitStore(clock)
        const admitted: { at: number; cost: number }[] = []
        const late = Math.ceil((window * 1_000) / 10)
        for (const { wait, cost } of calls) {
          clock.us += wait
          const used = (span: number) =>
            admitted.filter((hit) => hit.at > clock.us - span).reduce((sum, hit) => sum + hit.cost, 0)
          const { allowed, at } = store.applyNow(operation('consume', 'k', { limit, window }, cost))
          if (used(window * 1_000 + late) + cost <= limit) expect(allowed).toBe(true)
          if (allowed) admitted.push({ at, cost })
        }
        expect(most(admitted, window * 1_000)).toBeLessThanOrEqual(limit)
      }),
      { numRuns: 300 },
    )
  })

  it('`sliding` lets 100 pass at 59:59 and 100 at 60:00 of an hour: 100 in all; `fixed` 200 [L4, S0-11]', () => {
    for (const [algorithm, expected] of [
      ['sliding', 100],
      ['log', 100],
      ['fixed', 200],
    ] as const) {
      const clock = new HandClock()
      const spec: LimitSpec =
        algorithm === 'fixed'
          ? { limit: 100, window: '1h', algorithm, align: 'calendar' }
          : { limit: 100, window: '1h', algorithm }
      clock.us = Math.ceil(clock.us / 36e8) * 36e8 - 1_000_000
      const store = new MemoryLimitStore(clock)
      let passed = 0
      for (let burst = 0; burst < 2; burst++) {
        for (let call = 0; call < 100; call++)
          if (store.applyNow(operation('consume', 'k', spec, 1)).allowed) passed++
        clock.us += 1_000_000
      }
      expect(passed).toBe(expected)
    }
  })

  it('says exactly when the refused call fits: not a microsecond before', () => {
    const spec = fc.record({
      limit: fc.integer({ min: 1, max: 12 }),
      window: fc.integer({ min: 1, max: 200 }),
      algorithm: fc.constantFrom('sliding' as const, 'gcra' as const, 'fixed' as const, 'log' as const),
    })
    fc.assert(
      fc.property(spec, steps, (limit, calls) => {
        const clock = new HandClock()
        const store = new MemoryLimitStore(clock)
        for (const { wait, cost } of calls) {
          clock.us += wait
          const { allowed, states } = store.applyNow(operation('consume', 'k', limit, cost))
          const pause = states[0]!.wait
          if (allowed || !Number.isFinite(pause)) continue
          clock.us += pause - 1
          expect(store.applyNow(operation('peek', 'k', limit, cost)).allowed).toBe(false)
          clock.us += 1
          expect(store.applyNow(operation('peek', 'k', limit, cost)).allowed).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('keeps no subject longer than its window needs', () => {
    const clock = new HandClock()
    const store = new MemoryLimitStore(clock)
    for (let user = 0; user < 10_000; user++) {
      clock.us += 1_000
      store.applyNow(operation('consume', `u${user}`, '5 per 50ms', 1))
    }
    expect(store.size).toBeLessThan(200)
  })
})

describe('the script and the memory store', () => {
  let server: RedisServer
  let redis: RedisPort
  beforeAll(async () => {
    server = await startRedis()
    redis = connectRedis(server.url)
    await redis.ready(5_000)
  })
  afterAll(async () => {
    await redis.close()
    await server.stop()
  })

  const spec = fc.oneof(
    fc.record({
      limit: fc.integer({ min: 0, max: 9 }),
      window: fc.integer({ min: 1, max: 25 }),
      algorithm: fc.constantFrom('sliding' as const, 'fixed' as const, 'log' as const, 'gcra' as const),
    }),
    fc.record({
      limit: fc.integer({ min: 1, max: 9 }),
      window: fc.integer({ min: 1, max: 25 }),
      burst: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({
      limit: fc.integer({ min: 1, max: 9 }),
      window: fc.integer({ min: 1, max: 25 }),
      algorithm: fc.constant('fixed' as const),
      align: fc.constant('calendar' as const),
    }),
  )
  const plan = fc.uniqueArray(spec, {
    minLength: 1,
    maxLength: 3,
    selector: (one) => compile(one as LimitSpec).layout,
  })
  // With another rate for one and the same section, whether it is still there decides, and Redis
  // rounds lives up to milliseconds: both plans then take the first one's rate.
  const plans = fc.tuple(plan, plan).map(([first, second]) => {
    const known = new Map(first.map((one) => [compile(one as LimitSpec).layout, one]))
    return [first, second.map((one) => known.get(compile(one as LimitSpec).layout) ?? one)] as const
  })
  const step = fc.record({
    verb: fc.constantFrom<Verb>(
      'consume',
      'consume',
      'consume',
      'consume',
      'peek',
      'refund',
      'penalty',
      'block',
      'reset',
    ),
    cost: fc.integer({ min: 1, max: 5 }),
    key: fc.nat(1),
    plan: fc.nat(1),
    of: fc.boolean(),
    pause: fc.constantFrom(0, 0, 0, 0, 1, 3, 12),
  })

  it('answer alike, number by number, to any course of operations and plans', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(plans, fc.array(step, { minLength: 1, maxLength: 40 }), async (both, course) => {
        const clock = new HandClock()
        const memory = new MemoryLimitStore(clock)
        const store = redisLimitStore(redis, 'hf:test:rl:relief')
        const prefix = `hf:test:rl:diff:${++run}:`
        let last = 0
        for (const { verb, cost, key, plan: which, of, pause } of course) {
          if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
          const at = verb === 'refund' && of ? last : 0
          const asked = operation(verb, `${prefix}{${key}}`, both[which]! as LimitSpec[], cost, at)
          const real = await store.apply(asked)
          clock.us = real.at
          const model = memory.applyNow(asked)
          last = real.at
          expect(real).toEqual(model)
        }
      }),
      { numRuns: 150 },
    )
  }, 60_000)

  it('answer alike to whole batches of one plan, over any states', async () => {
    let run = 0
    const round = fc.record({
      cost: fc.integer({ min: 1, max: 4 }),
      keys: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 6 }),
      // Of one subject, before the batch: what leaves states that the batch must find its way in.
      before: fc.constantFrom<Verb | undefined>(
        undefined,
        undefined,
        undefined,
        'block',
        'penalty',
        'refund',
      ),
      pause: fc.constantFrom(0, 0, 0, 2, 11),
    })
    await fc.assert(
      fc.asyncProperty(plan, fc.array(round, { minLength: 1, maxLength: 15 }), async (limits, rounds) => {
        const clock = new HandClock()
        const memory = new MemoryLimitStore(clock)
        const store = redisLimitStore(redis, 'hf:test:rl:relief')
        const prefix = `hf:test:rl:batch:${++run}:`
        const policy = compile(limits as LimitSpec[])
        const ask = (verb: Verb, key: number, cost: number): Operation => {
          const name = `${prefix}{${key}}`
          return { verb, parts: [{ key: name, tag: name, policy }], cost, at: 0, deadline: 5_000 }
        }
        const compare = async (operations: readonly Operation[]) => {
          const real = await Promise.all(operations.map((operation) => store.apply(operation)))
          for (const [index, operation] of operations.entries()) {
            clock.us = real[index]!.at
            expect(real[index]).toEqual(memory.applyNow(operation))
          }
        }
        for (const { cost, keys, before, pause } of rounds) {
          if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
          if (before) await compare([ask(before, keys[0]!, cost)])
          await compare(keys.map((key) => ask('consume', key, cost)))
        }
      }),
      { numRuns: 100 },
    )
  }, 60_000)
})
