import { type Clock, sleep } from '../base/clock.ts'
import type { Holdfast } from '../face.ts'
import type { WriteTest } from './evidence.ts'

const LIFE_MS = 1_000
const LATEST_MS = 3_000
const LOOK_MS = 50

/** Sets, reads, lets expire and deletes a value of its own, on the role that must not lose any. */
export async function writeTest(hf: Holdfast, clock: Clock, id: string): Promise<WriteTest> {
  const steps: WriteTest['steps'][number][] = []
  const key = `doctor-test:${id}`
  const verbs = verbsOf(hf)
  const step = async (name: string, act: () => Promise<boolean>): Promise<void> => {
    if (steps.some(({ ok }) => !ok)) return
    try {
      steps.push({ name, ok: await act() })
    } catch (error) {
      steps.push({ name, ok: false, why: error instanceof Error ? error.message : 'unknown' })
    }
  }
  await step('set', async () => {
    await verbs.set(key, 'it works')
    return true
  })
  await step('get', async () => (await verbs.get(key)) === 'it works')
  await step('expire', async () => {
    const until = clock.mono() + LATEST_MS
    while ((await verbs.get(key)) !== undefined) {
      if (clock.mono() > until) return false
      await sleep(clock, LOOK_MS)
    }
    return true
  })
  await step('delete', async () => {
    await verbs.set(key, 'it works')
    await verbs.remove(key)
    return (await verbs.get(key)) === undefined
  })
  return { steps }
}

interface Verbs {
  set(key: string, value: string): Promise<unknown>
  get(key: string): Promise<unknown>
  remove(key: string): Promise<unknown>
}

function verbsOf({ redis, cache }: Holdfast): Verbs {
  if (redis === undefined) {
    return {
      set: (key, value) => cache.set(key, value, { ttl: LIFE_MS }),
      get: (key) => cache.get(key),
      remove: (key) => cache.delete(key),
    }
  }
  return {
    set: (key, value) => redis.command('SET', key, value, 'PX', String(LIFE_MS)),
    get: async (key) => (await redis.command('GET', key)) ?? undefined,
    remove: (key) => redis.command('UNLINK', key),
  }
}
