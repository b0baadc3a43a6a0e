import assert from 'node:assert/strict'
import { type ErrorCode, HoldfastError } from '../base/errors.ts'
import { OnceIndeterminate, OnceSuperseded } from '../once/errors.ts'
import type { Once, OnceOptions } from '../once/once.ts'
import type { Step } from '../once/step.ts'
import { onceStepsContract } from './once-steps-contract.ts'
import type { TestApi } from './test-api.ts'
import { blockLoop, pause, reaches } from './waiting.ts'

/** Two views of the same records, as two processes have them; one and the same where there is only one. */
export interface OnceBackend {
  readonly first: Once
  readonly second: Once
  close(): Promise<void>
}

/** What every place for run-once records must do. */
export function onceContract(api: TestApi, backend: string, open: () => Promise<OnceBackend>): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`run-once in ${backend}`, () => {
    let place: OnceBackend
    let names = 0
    const fresh = () => `plan:${++names}`
    beforeAll(async () => {
      place = await open()
    })
    afterAll(() => place.close())

    it('runs one of 100 parallel claims and refuses the others while it runs [L25] [S0-23]', async () => {
      const key = fresh()
      let runs = 0
      const outcomes = await Promise.allSettled(
        Array.from({ length: 100 }, (_, index) =>
          (index % 2 ? place.first : place.second)(key, async () => {
            runs++
            await pause(60)
            return 'ran'
          }),
        ),
      )
      const codes = outcomes.map((outcome) =>
        outcome.status === 'rejected' ? outcome.reason.code : outcome.value,
      )
      assert.equal(runs, 1)
      assert.equal(codes.filter((code) => code === 'ran').length, 1)
      assert.equal(codes.filter((code) => code === 'ONCE_RUNNING').length, 99)
    })

    it('lets 100 parallel claims wait and hands all of them the same result [L25]', async () => {
      const key = fresh()
      let runs = 0
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          (index % 2 ? place.first : place.second)(
            key,
            async () => {
              await pause(30)
              return { run: ++runs, list: [1, null, 'ă'], big: 12n }
            },
            { wait: '5s' },
          ),
        ),
      )
      assert.equal(runs, 1)
      for (const result of results) assert.deepEqual(result, { run: 1, list: [1, null, 'ă'], big: 12n })
    })

    it('hands out the kept result afterwards, undefined and null included, without running again', async () => {
      for (const value of [undefined, null, false, 0, '', [], { a: { b: [1] } }]) {
        const key = fresh()
        assert.deepEqual(await place.first(key, () => value), value)
        assert.deepEqual(await place.second(key, () => assert.fail('ran twice')), value)
        assert.equal((await place.second.inspect(key))?.state, 'done')
      }
    })

    it('refuses another payload under the same key, while running and afterwards [L25]', async () => {
      const key = fresh()
      const running = place.first(key, () => pause(50), { payload: { amount: 1, to: 'x' } })
      await reaches(async () => (await place.first.inspect(key)) !== undefined)
      await rejects(
        place.second(key, () => 1, { payload: { amount: 2, to: 'x' } }),
        'ONCE_MISMATCH',
      )
      await rejects(
        place.second(key, () => 1),
        'ONCE_MISMATCH',
      )
      await rejects(
        place.second(key, () => 1, { payload: { to: 'x', amount: 1 } }),
        'ONCE_RUNNING',
      )
      await running
      await rejects(
        place.second(key, () => 1, { payload: { amount: 2, to: 'x' } }),
        'ONCE_MISMATCH',
      )
      assert.equal(await place.second(key, () => 1, { payload: { to: 'x', amount: 1 } }), undefined)
    })

    it('frees the key after an ordinary error, and counts the attempts', async () => {
      const key = fresh()
      const boom = new Error('boom')
      const fail = () => {
        throw boom
      }
      await assert.rejects(place.first(key, fail), boom)
      assert.equal((await place.first.inspect(key))?.state, 'retryable')
      let seen: Step | undefined
      await place.second(key, (step) => {
        seen = step
      })
      assert.equal(seen?.attempt, 2)
      assert.equal(seen?.before, 'failed')
    })

    it('keeps an error that is final, and tells later callers its name and message', async () => {
      const key = fresh()
      const refused = Object.assign(new Error('card refused'), { name: 'CardError' })
      const run = () =>
        place.first(key, () => Promise.reject(refused), { isFinal: (error) => error === refused })
      await assert.rejects(run(), refused)
      await assert.rejects(
        place.second(key, () => 1, { wait: 100 }),
        (error) => {
          assert.ok(error instanceof HoldfastError)
          assert.equal(error.code, 'ONCE_FAILED')
          assert.match(error.message, /card refused/)
          assert.equal('failure' in error && error.failure, 'CardError')
          return true
        },
      )
    })

    it('lets a waiter take over when the run it waits for fails', async () => {
      const key = fresh()
      const failing = place.first(key, async () => {
        await pause(30)
        throw new Error('first failed')
      })
      failing.catch(() => {})
      await reaches(async () => (await place.first.inspect(key)) !== undefined)
      assert.equal(await place.second(key, ({ attempt }) => attempt, { wait: '5s' }), 2)
      await assert.rejects(failing, /first failed/)
    })

    it('forgets a key when its retention is over', async () => {
      const key = fresh()
      await place.first(key, () => 1, { retain: 60 })
      await reaches(async () => (await place.first.inspect(key)) === undefined)
      assert.equal(await place.second(key, () => 2), 2)
    })

    it('keeps a run alive by its heartbeat far beyond its lease', async () => {
      const key = fresh()
      const long = place.first(key, () => pause(900).then(() => 'late'), { lease: 300 })
      await pause(600)
      await rejects(
        place.second(key, () => 1, { onCrash: 'retry' }),
        'ONCE_RUNNING',
      )
      assert.equal(await long, 'late')
    })

    it('holds the key of a dead run, and lets an operator settle it [L26]', async () => {
      const key = fresh()
      const dead = await crash(place.first, key)
      await assert.rejects(
        place.second(key, () => 1),
        OnceIndeterminate,
      )
      await assert.rejects(
        place.second(key, () => 1, { wait: 50 }),
        { attempts: 1 },
      )
      assert.equal((await place.second.inspect(key))?.state, 'indeterminate')
      assert.equal(await place.second.resolve(key, { done: { receipt: 7 } }), 'resolved')
      assert.deepEqual(await place.first(key, () => 1), { receipt: 7 })
      await dead.endsSuperseded()
      assert.deepEqual(await place.first(key, () => 1), { receipt: 7 })
    })

    it('gives a dead run to the next caller by policy, and refuses what the dead one says later [L26]', async () => {
      for (const onCrash of ['recover', 'retry'] as const) {
        const key = fresh()
        const dead = await crash(place.first, key)
        let step: Step | undefined
        const result = await place.second(
          key,
          (given) => {
            step = given
            return 'second'
          },
          { onCrash },
        )
        assert.equal(result, 'second')
        assert.equal(step?.before, 'crashed')
        assert.equal(step?.attempt, 2)
        assert.ok(step && step.fencingToken > dead.token)
        await dead.endsSuperseded()
        assert.equal(await place.first(key, () => 'third'), 'second')
      }
    })

    it('accepts the late end of a run that nobody replaced', async () => {
      const key = fresh()
      const dead = await crash(place.first, key)
      dead.finish('late, but the only one')
      assert.equal(await dead.result, 'late, but the only one')
      assert.equal(await place.second(key, () => 1), 'late, but the only one')
    })

    it('lets an operator free or fail a key, and overrides a living run only when forced', async () => {
      const key = fresh()
      assert.equal(await place.first.resolve(key, 'retry'), 'absent')
      let token = 0
      const living = place.first(
        key,
        async (step) => {
          token = step.fencingToken
          await pause(400)
          return 'x'
        },
        { lease: 300 },
      )
      living.catch(() => {})
      await reaches(async () => token > 0)
      assert.equal(await place.second.resolve(key, { failed: 'by hand' }), 'running')
      assert.equal(await place.second.resolve(key, { failed: 'by hand' }, { force: true }), 'resolved')
      await assert.rejects(living, (error) => {
        assert.ok(error instanceof OnceSuperseded)
        assert.deepEqual(error.outcome, { value: 'x' })
        return true
      })
      await rejects(
        place.first(key, () => 1),
        'ONCE_FAILED',
      )
      assert.equal(await place.second.resolve(key, 'retry'), 'resolved')
      assert.equal(await place.first(key, ({ attempt }) => attempt), 2)
    })

    it('hands the result over and remembers the end also when the result is too large to keep', async () => {
      const key = fresh()
      const large = 'x'.repeat(2_000)
      assert.equal(await place.first(key, () => large, { maxResultBytes: 1_000 }), large)
      await rejects(
        place.second(key, () => 1),
        'ONCE_NO_RESULT',
      )
      const odd = fresh()
      const value = new Map([[1, 2]])
      assert.equal(await place.first(odd, () => value), value)
      await rejects(
        place.second(odd, () => 1),
        'ONCE_NO_RESULT',
      )
    })

    it('gives up waiting in time or by signal', async () => {
      const key = fresh()
      const running = place.first(key, () => pause(150))
      await reaches(async () => (await place.first.inspect(key)) !== undefined)
      await rejects(
        place.second(key, () => 1, { wait: 30 }),
        'ONCE_RUNNING',
      )
      const stop = new AbortController()
      const waiting = place.second(key, () => 1, { wait: '5s', signal: stop.signal })
      stop.abort(new Error('left'))
      await assert.rejects(waiting, /left/)
      await running
    })

    onceStepsContract(
      api,
      () => place,
      fresh,
      (once, key, first) => crash(once, key, first),
    )

    it('refuses keys, options and payloads that cannot work before anything runs', async () => {
      const never = () => assert.fail('ran')
      for (const key of ['', 'a\nb', '\ud800']) await rejects(place.first(key, never), 'INVALID_KEY')
      const bad: [object, ErrorCode][] = [
        [{ lease: 299 }, 'INVALID_OPTION'],
        [{ lease: Number.NaN }, 'INVALID_OPTION'],
        [{ retain: 0 }, 'INVALID_OPTION'],
        [{ retain: -5 }, 'INVALID_OPTION'],
        [{ wait: 'soon' }, 'INVALID_OPTION'],
        [{ onCrash: 'panic' }, 'INVALID_OPTION'],
        [{ maxResultBytes: 1.5 }, 'INVALID_OPTION'],
        [{ oncrash: 'hold' }, 'INVALID_OPTION'],
        [{ payload: () => 1 }, 'INVALID_VALUE'],
      ]
      for (const [options, code] of bad) {
        await rejects((async () => place.first(fresh(), never, options as OnceOptions))(), code)
      }
    })
  })
}

/** A run that stands still until its lease is over, as a frozen process does, and can end later. */
async function crash(once: Once, key: string, first?: (step: Step) => Promise<unknown>) {
  let finish = (_value: unknown): void => {}
  let token = 0
  const started = new Promise<void>((began) => {
    const held = new Promise<unknown>((resolve) => {
      finish = resolve
    })
    void Promise.resolve().then(async () => {
      const run = once(
        key,
        async (step) => {
          await first?.(step)
          token = step.fencingToken
          began()
          return held
        },
        { lease: 300, onCrash: 'recover' },
      )
      result = run
      run.catch(() => {})
    })
  })
  let result: Promise<unknown> | undefined
  await started
  // No timer fires: no heartbeat leaves, and the lease ends.
  blockLoop(320)
  return {
    token,
    finish: (value: unknown) => finish(value),
    get result() {
      return result
    },
    async endsSuperseded() {
      finish('from the dead')
      await assert.rejects(result ?? Promise.resolve(), (error) => {
        assert.ok(error instanceof OnceSuperseded)
        assert.deepEqual(error.outcome, { value: 'from the dead' })
        return true
      })
    },
  }
}

function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  return assert.rejects(promise, { code })
}
