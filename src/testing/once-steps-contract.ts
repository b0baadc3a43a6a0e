import assert from 'node:assert/strict'
import type { Once } from '../once/once.ts'
import type { Step } from '../once/step.ts'
import type { TestApi } from './test-api.ts'

type Crash = (once: Once, key: string, first: (step: Step) => Promise<unknown>) => Promise<unknown>

/** The part of the run-once contract about checkpoints. */
export function onceStepsContract(
  { it }: TestApi,
  here: () => { readonly first: Once; readonly second: Once },
  fresh: () => string,
  crash: Crash,
): void {
  it('does not repeat the steps that a failed run ended, and says where it stood', async () => {
    const key = fresh()
    const calls: string[] = []
    const work = async (step: Step) => {
      const paid = await step('pay', () => {
        calls.push('pay')
        return { receipt: 7, odd: undefined }
      })
      await step('nothing', () => void calls.push('nothing'))
      if (step.attempt === 1) throw new Error('lost the line')
      assert.deepEqual(step.checkpoint, { name: 'nothing', value: undefined })
      return `${paid.receipt} ${step.idempotencyKey('ship')}`
    }
    await assert.rejects(here().first(key, work), /lost the line/)
    assert.deepEqual((await here().first.inspect(key))?.checkpoints, ['pay', 'nothing'])
    assert.equal(await here().second(key, work), `7 ${key}:ship`)
    assert.deepEqual(calls, ['pay', 'nothing'])
    assert.deepEqual((await here().first.inspect(key))?.checkpoints, [])
  })

  it('calls back with the last checkpoint of a dead run, in order, under the policy recover [L26]', async () => {
    const key = fresh()
    await crash(here().first, key, async (step) => {
      for (let part = 1; part <= 12; part++) await step(`part:${part}`, () => part * part)
    })
    let seen: Step['checkpoint']
    const again: number[] = []
    const sum = await here().second(
      key,
      async (step) => {
        seen = step.checkpoint
        let total = 0
        for (let part = 1; part <= 13; part++) {
          total += await step(`part:${part}`, () => {
            again.push(part)
            return 0
          })
        }
        return total
      },
      { onCrash: 'recover' },
    )
    assert.deepEqual(seen, { name: 'part:12', value: 144 })
    assert.equal(sum, 650)
    assert.deepEqual(again, [13])
  })

  it('starts from the beginning under the policy retry [L26]', async () => {
    const key = fresh()
    await crash(here().first, key, (step) => step('one', () => 1))
    const result = await here().second(key, (step) => step('one', () => 2), { onCrash: 'retry' })
    assert.equal(result, 2)
  })

  it('refuses steps without a usable name, with a used one, and results that cannot be kept', async () => {
    const run = (work: (step: Step) => Promise<unknown>) => here().first(fresh(), work)
    await assert.rejects(
      run((step) => step('', () => 1)),
      { code: 'INVALID_OPTION' },
    )
    await assert.rejects(
      run(async (step) => {
        await step('a', () => 1)
        await step('a', () => 2)
      }),
      { code: 'INVALID_OPTION' },
    )
    await assert.rejects(
      run((step) => step('a', () => new Map())),
      { code: 'INVALID_VALUE' },
    )
    await assert.rejects(
      run((step) => step('a', () => 'x'.repeat(70_000))),
      { code: 'INVALID_VALUE' },
    )
  })
}
