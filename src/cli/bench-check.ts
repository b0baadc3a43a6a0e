import type { Holdfast } from '../holdfast.ts'

export interface Step {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

const LOAD_MS = 50
const CALLERS = 100
const LIFE = '1m'

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Whether a cache does what a cache is for, in five steps. */
export async function checkSteps(hf: Holdfast): Promise<Step[]> {
  const steps: Step[] = []
  const step = async (name: string, act: () => Promise<{ ok: boolean; detail: string }>): Promise<void> => {
    try {
      steps.push({ name, ...(await act()) })
    } catch (error) {
      steps.push({ name, ok: false, detail: error instanceof Error ? error.message : 'failed' })
    }
  }
  const { cache } = hf
  await step('connectivity', async () => {
    await cache.set('check:ping', 'pong', { ttl: LIFE })
    const heard = await cache.get('check:ping')
    await cache.delete('check:ping')
    return { ok: heard === 'pong' && !(await cache.has('check:ping')), detail: 'set, get, delete' }
  })
  await step('hit and miss', async () => {
    const load = async () => {
      await sleep(LOAD_MS)
      return 'loaded'
    }
    const ask = () => timed(() => cache.getOrSet('check:speed', load, { ttl: LIFE }))
    const miss = await ask()
    const hits = [await ask(), await ask(), await ask()].map(({ ms }) => ms)
    const hit = Math.min(...hits)
    return { ok: hit < miss.ms, detail: `miss ${miss.ms.toFixed(1)} ms, hit ${hit.toFixed(2)} ms` }
  })
  await step('invalidation', async () => {
    let version = 1
    const ask = () => cache.getOrSet('check:tagged', () => version, { ttl: LIFE, tags: ['check'] })
    const before = await ask()
    version = 2
    await cache.invalidateTag('check')
    const after = await ask()
    return { ok: before === 1 && after === 2, detail: 'no old value after the tag was invalidated' }
  })
  await step('concurrency', async () => {
    let loads = 0
    const load = async () => {
      loads++
      await sleep(LOAD_MS)
      return 'once'
    }
    const all = Array.from({ length: CALLERS }, () => cache.getOrSet('check:herd', load, { ttl: LIFE }))
    const same = (await Promise.all(all)).every((value) => value === 'once')
    return { ok: same && loads === 1, detail: `${CALLERS} callers at once, ${loads} load` }
  })
  await step('metrics', async () => {
    const before = cache.stats()
    await cache.get('check:speed')
    await cache.get('check:absent')
    const after = cache.stats()
    const hits = total(after.hits) - total(before.hits)
    const misses = after.misses - before.misses
    return {
      ok: hits === 1 && misses === 1,
      detail: `1 hit and 1 miss were counted as ${hits} and ${misses}`,
    }
  })
  await cache.deletePattern('*')
  return steps
}

const total = ({ l1, l2, stale }: { l1: number; l2: number; stale: number }): number => l1 + l2 + stale

async function timed<T>(act: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now()
  const value = await act()
  return { value, ms: performance.now() - began }
}
