import assert from 'node:assert/strict'
import { sleep, systemClock } from '../base/clock.ts'
import { InvalidKey, InvalidOption } from '../base/errors.ts'
import type { Limiter } from '../limit/limiter.ts'
import type { LimiterSettings } from '../limit/options.ts'
import type { Algorithm } from '../limit/spec.ts'
import type { TestApi } from './test-api.ts'

/** Makes limiters as two processes have them; where there is only one, both are the same one. */
export interface LimitBackend {
  first(settings: LimiterSettings): Limiter
  second(settings: LimiterSettings): Limiter
  close(): Promise<void>
}

const ALGORITHMS: readonly Algorithm[] = ['sliding', 'gcra', 'fixed', 'log']

/** What every place for counters must do. Each `it` names the requirement that it proves. */
export function limitContract(api: TestApi, backend: string, open: () => Promise<LimitBackend>): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`limits in ${backend}`, () => {
    let place: LimitBackend
    let names = 0
    beforeAll(async () => {
      place = await open()
    })
    afterAll(() => place.close())
    const make = (limits: LimiterSettings['limits'], more: Partial<LimiterSettings> = {}) => {
      const settings = { name: `n${++names}`, limits, deadline: 5_000, ...more }
      return { first: place.first(settings), second: place.second(settings) }
    }

    it('gcra takes from a bucket that refills steadily, and says "never" to what cannot fit [L1]', async () => {
      const { first } = make('10/s burst 10')
      const one = await first.consume('a')
      assert.deepEqual([one.allowed, one.remaining, one.resetAfter], [true, 9, 100])
      const two = await first.consume('a', { cost: 2 })
      assert.equal(two.remaining, 7)
      assert.ok(two.resetAfter > 200 && two.resetAfter <= 300)
      assert.equal((await first.consume('b', { cost: 10 })).remaining, 0)
      const huge = await first.consume('b', { cost: 1_000 })
      assert.deepEqual([huge.allowed, huge.retryAfter], [false, Number.POSITIVE_INFINITY])
      assert.ok(huge.resetAfter > 0 && huge.resetAfter <= 1_000)
    })

    for (const algorithm of ALGORITHMS) {
      it(`${algorithm} admits the limit, refuses the next, and keeps users apart [S0-7, S0-10]`, async () => {
        const { first, second } = make('5/minute', { algorithm })
        for (let call = 1; call <= 5; call++) {
          const decision = await (call % 2 ? first : second).consume({ user: 1 })
          assert.deepEqual([decision.allowed, decision.remaining, decision.limit], [true, 5 - call, 5])
        }
        const refused = await second.consume({ user: 1 })
        assert.deepEqual([refused.allowed, refused.remaining], [false, 0])
        assert.ok(refused.retryAfter > 0 && refused.retryAfter <= 60_000)
        assert.ok(refused.resetAfter >= refused.retryAfter)
        assert.equal((await first.consume({ user: 2 })).allowed, true)
      })

      it(`${algorithm}: a refused call takes nothing, a smaller one still fits [L2, L6]`, async () => {
        const { first } = make('10/minute', { algorithm })
        assert.equal((await first.consume('a', { cost: 11 })).retryAfter, Number.POSITIVE_INFINITY)
        assert.equal((await first.consume('a', { cost: 8 })).remaining, 2)
        const refused = await first.consume('a', { cost: 5 })
        assert.deepEqual([refused.allowed, refused.remaining], [false, 2])
        assert.equal((await first.consume('a', { cost: 2 })).allowed, true)
        assert.equal((await first.peek('a')).allowed, false)
      })

      it(`${algorithm}: what was waited for is there, not a millisecond late`, async () => {
        const { first } = make('3 per 300ms', { algorithm, denyCache: 0 })
        // A slow machine may see a unit come back in between: until one is refused.
        let refused = await first.consume('a', { cost: 3 })
        while (refused.allowed) refused = await first.consume('a')
        const { retryAfter } = refused
        await sleep(systemClock, retryAfter + 1)
        assert.equal((await first.consume('a')).allowed, true)
      })

      it(`${algorithm}: a limit of 0 refuses every call, for ever [L7]`, async () => {
        const { first } = make('0/minute', { algorithm })
        const { allowed, retryAfter, remaining, limit } = await first.consume('a')
        assert.deepEqual([allowed, retryAfter, remaining, limit], [false, Number.POSITIVE_INFINITY, 0, 0])
      })

      it(`${algorithm}: peek tells and takes nothing`, async () => {
        const { first } = make('3/minute', { algorithm })
        assert.equal((await first.peek('a')).remaining, 3)
        await first.consume('a')
        for (let call = 0; call < 5; call++) assert.equal((await first.peek('a')).remaining, 2)
        assert.equal((await first.peek('a', { cost: 3 })).allowed, false)
      })

      it(`${algorithm}: refund gives back, never beyond the limit`, async () => {
        const { first } = make('3/minute', { algorithm })
        await first.refund('a', { cost: 5 })
        assert.equal((await first.peek('a')).remaining, 3)
        await first.consume('a', { cost: 3 })
        assert.equal((await first.consume('a')).allowed, false)
        await first.refund('a', { cost: 2 })
        assert.equal((await first.peek('a')).remaining, 2)
        await first.refund('a', { cost: 100 })
        assert.equal((await first.peek('a')).remaining, 3)
      })

      it(`${algorithm}: penalty takes beyond the limit, reset forgets it`, async () => {
        const { first, second } = make('3/minute', { algorithm })
        await first.penalty('a', { cost: 7 })
        assert.deepEqual([(await second.peek('a')).allowed, (await second.peek('a')).remaining], [false, 0])
        await second.reset('a')
        assert.equal((await first.consume('a')).remaining, 2)
      })
    }

    it('a refund of what has left the window gives nothing back', async () => {
      const { first } = make('2 per 200ms')
      const old = await first.consume('a', { cost: 2 })
      await reaches(async () => (await first.consume('a', { cost: 2 })).allowed)
      await first.refund('a', { of: old })
      assert.equal((await first.peek('a')).remaining, 0)
    })

    it('charges several limits all or nothing: 1 of 20 calls passes, and the hour has used 1 [L3, S0-9]', async () => {
      const { first } = make(['1/minute', '100/hour'], { denyCache: 0 })
      const calls = await Promise.all(Array.from({ length: 20 }, () => first.consume('a')))
      assert.equal(calls.filter((call) => call.allowed).length, 1)
      const { limits, limit, binding } = await first.peek('a')
      assert.equal(limits[1]?.remaining, 99)
      assert.deepEqual([limit, binding], [1, 0])
    })

    it('charges several subjects all or nothing, each by its own limits [S4-3]', async () => {
      const { first } = make({ user: '20/minute', ip: '3/minute' }, { denyCache: 0 })
      const ip = '203.0.113.7'
      for (const user of ['a', 'b', 'c']) assert.equal((await first.consume({ user, ip })).allowed, true)
      const refused = await first.consume({ user: 'd', ip })
      assert.deepEqual([refused.allowed, refused.limits[refused.binding]?.kind], [false, 'ip'])
      assert.equal((await first.peek({ user: 'd' })).remaining, 20)
      assert.equal((await first.peek({ user: 'a' })).remaining, 19)
      await assert.rejects(first.consume({ usr: 'a' }), InvalidOption)
    })

    it('names one client by the /64 of its address, and by the IPv4 inside a mapped one [S4-3, L12]', async () => {
      const { first } = make({ ip: '2/minute' })
      await first.consume({ ip: '2001:db8:1:2::1' })
      assert.equal((await first.consume({ ip: '2001:db8:1:2:ffff::9' })).remaining, 0)
      await first.consume({ ip: '::ffff:102:304' })
      assert.equal((await first.consume({ ip: '1.2.3.4' })).remaining, 0)
      await assert.rejects(first.consume({ ip: '1.2.3.4:5678' }), InvalidKey)
    })

    it('takes the limits of a plan at call time, and what was used stays used', async () => {
      for (const algorithm of ALGORITHMS) {
        const { first } = make('5/minute', { algorithm })
        for (let call = 0; call < 5; call++) await first.consume('a')
        assert.equal((await first.consume('a')).allowed, false)
        const paid = await first.consume('a', { limits: '20/minute' })
        assert.deepEqual([paid.allowed, paid.limit, paid.remaining], [true, 20, 14], algorithm)
        await first.consume('a', { limits: ['20/minute', '1000/hour'] })
        assert.equal((await first.peek('a', { limits: '20/minute' })).remaining, 13, algorithm)
        assert.equal((await first.peek('a', { limits: '1000/hour' })).remaining, 999, algorithm)
      }
    })

    it('blocks a subject everywhere at once, and lifts the block', async () => {
      const { first, second } = make('100/minute')
      await first.consume('a')
      await first.block('a', '10m')
      const refused = await second.consume('a')
      assert.deepEqual([refused.allowed, refused.blocked, refused.remaining], [false, true, 99])
      assert.ok(refused.retryAfter > 590_000 && refused.retryAfter <= 600_000)
      assert.equal((await first.consume('b')).allowed, true)
      await first.block('a', 0)
      await reaches(async () => (await second.consume('a')).allowed)
      await first.block('c', 150)
      assert.equal((await second.consume('c')).allowed, false)
      await reaches(async () => (await second.consume('c')).allowed)
    })

    it('remembers a refusal with its cost: cost 5 refused with 2 left, cost 1 still asked [L11]', async () => {
      const { first, second } = make('10/minute')
      await first.consume('a', { cost: 8 })
      await reaches(async () => !(await first.consume('a', { cost: 5 })).allowed)
      assert.equal((await first.consume('a', { cost: 1 })).allowed, true)
      assert.equal((await first.consume('a', { cost: 6 })).allowed, false)
      await second.reset('a')
      await reaches(async () => (await first.consume('a', { cost: 5 })).allowed)
    })

    it('in shadow mode admits everything, and says what it would have refused', async () => {
      const { first } = make('2/minute', { enforce: false })
      const calls = []
      for (let call = 0; call < 4; call++) calls.push(await first.consume('a'))
      assert.deepEqual(
        calls.map((call) => [call.allowed, call.wouldDeny]),
        [
          [true, false],
          [true, false],
          [true, true],
          [true, true],
        ],
      )
      assert.deepEqual([first.counts().allowed, first.counts().shadow, first.counts().denied], [2, 2, 0])
    })

    it('switched off, it refuses nothing and counts nothing [S4-9]', async () => {
      const { first } = make('1/hour', { enabled: false })
      for (let call = 0; call < 5; call++) assert.equal((await first.consume('a')).allowed, true)
    })

    it('reports counts by minute and the identities refused most', async () => {
      const { first } = make('1/minute')
      for (const user of [1, 1, 1, 1, 2, 2, 3]) await first.consume({ user })
      const report = await first.report()
      assert.deepEqual([report.allowed, report.denied], [3, 4])
      const top = report.top.slice(0, 2).map(({ identity, denied }) => ({ identity, denied }))
      assert.deepEqual(top, [
        { identity: 'user:1', denied: 3 },
        { identity: 'user:2', denied: 1 },
      ])
      assert.equal(
        report.minutes.reduce((sum, minute) => sum + minute.denied, 0),
        4,
      )
    })

    it('keeps subjects, kinds and limiters apart, however their names are put together', async () => {
      const { first } = make('1/minute')
      const subjects = [
        'a',
        { user: 'a' },
        { ip6: 'a' },
        'user:a',
        { 'user:a': 'b' },
        { user: 'a:b' },
        'user%3Aa',
        '{a}',
        'a}',
        '%h:a',
        { user: '{a}' },
        { user: 'a|b' },
        'a*',
        'a?',
        'é',
        'e\u0301',
        '__proto__',
        { __proto__x: '1' },
        '0',
        'x'.repeat(600),
        `${'x'.repeat(599)}y`,
      ]
      for (const subject of subjects) {
        assert.equal(
          (await first.consume(subject as string)).allowed,
          true,
          JSON.stringify(subject).slice(0, 40),
        )
      }
      for (const subject of subjects) assert.equal((await first.consume(subject as string)).allowed, false)
      const twins = [
        place.first({ name: 'x', namespace: 'a:rl:b', limits: '1/hour', deadline: 5_000 }),
        place.first({ name: 'b:x', namespace: 'a', limits: '1/hour', deadline: 5_000 }),
        place.first({ name: 'x', namespace: 'a', limits: '1/hour', deadline: 5_000 }),
      ]
      for (const limiter of twins) assert.equal((await limiter.consume('a')).allowed, true)
    })

    it('refuses costs and subjects that mean nothing, and takes nothing for them', async () => {
      const { first } = make('10/minute')
      for (const cost of [
        0,
        -1,
        0.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        1e13,
        '2' as unknown as number /* from plain JS */,
      ]) {
        await assert.rejects(first.consume('a', { cost }), InvalidOption, String(cost))
        await assert.rejects(first.refund('a', { cost }), InvalidOption, String(cost))
        await assert.rejects(first.penalty('a', { cost }), InvalidOption, String(cost))
      }
      for (const subject of ['', 'a\u0000', 'a\nb', '\ud800', 1.5, Number.NaN, null, true]) {
        await assert.rejects(first.consume(subject as string), InvalidKey)
      }
      for (const subject of [{}, { user: undefined }])
        await assert.rejects(first.consume(subject), InvalidOption)
      assert.equal((await first.peek('a')).remaining, 10)
      assert.equal((await first.consume('a', { cost: 1e12 })).allowed, false)
    })

    it('admits at most the limit in any window, whatever the mix of costs [S0-11]', async () => {
      const limit = 40
      const windowMs = 150
      const { first, second } = make(`${limit} per ${windowMs}ms`, { denyCache: 0 })
      const admitted: { at: number; cost: number }[] = []
      const end = systemClock.mono() + 900
      for (let call = 0; systemClock.mono() < end; call++) {
        const costs = Array.from({ length: 1 + (call % 7) }, (_, index) => 1 + ((call * 7 + index * 3) % 5))
        const calls = costs.map((cost) => (call % 2 ? first : second).consume('a', { cost }))
        for (const { allowed, at, cost } of await Promise.all(calls)) if (allowed) admitted.push({ at, cost })
      }
      assert.ok(
        most(admitted, windowMs * 1_000) <= limit,
        `${most(admitted, windowMs * 1_000)} in one window`,
      )
      const total = admitted.reduce((sum, one) => sum + one.cost, 0)
      assert.ok(total >= limit * 3, `only ${total} units passed in six windows`)
    })
  })
}

/** The most units admitted in any window (at - window, at]. */
export function most(admitted: readonly { at: number; cost: number }[], windowUs: number): number {
  const hits = [...admitted].sort((a, b) => a.at - b.at)
  let worst = 0
  let sum = 0
  let from = 0
  for (const hit of hits) {
    sum += hit.cost
    while (hits[from]!.at <= hit.at - windowUs) sum -= hits[from++]!.cost
    worst = Math.max(worst, sum)
  }
  return worst
}

async function reaches(check: () => Promise<boolean>): Promise<void> {
  const end = systemClock.mono() + 5_000
  while (!(await check())) {
    assert.ok(systemClock.mono() < end, 'waited 5 s in vain')
    await sleep(systemClock, 5)
  }
}
