import { describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { JudgedCache } from '../../src/cache/judged.ts'
import type { Judgement } from '../../src/cache/load.ts'
import type { ValueCodec } from '../../src/cache/options.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { until } from '../support/until.ts'

class Bytes {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const codec: ValueCodec = {
  encode: (value) => Buffer.from((value as Bytes).text),
  decode: (bytes) => new Bytes(bytes.toString()),
  immutable: true,
}
const OPTIONS = { ttl: '10s', stale: '60s', codec, timeout: { soft: false } } as const

function setUp() {
  const clock = new FakeClock()
  const cache = createCache({ clock })
  return { clock, cache, judged: new JudgedCache(cache) }
}

describe('a cache with a judge', () => {
  it('stores values in the form of their own codec, and hands the same one to all', async () => {
    const { cache, judged } = setUp()
    const first = await cache.getOrSet('k', () => new Bytes('one'), OPTIONS)
    const again = await cache.getOrSet('k', () => new Bytes('two'), OPTIONS)
    expect(first).toEqual(new Bytes('one'))
    expect(again).toBe(first)
    expect(judged.peek('k')?.memo?.value).toBe(first)
    expect((await cache.inspect('k')).flags).toBe('x')
  })

  it('takes bytes that the codec refuses, or that another codec wrote, for a miss', async () => {
    const { cache } = setUp()
    await cache.set('k', { text: 'json' })
    const refusing: ValueCodec = {
      ...codec,
      decode: () => {
        throw new Error('not mine')
      },
    }
    expect(await cache.get('k', { codec: refusing })).toEqual({ text: 'json' })
    await cache.set('x', new Bytes('one'), OPTIONS)
    expect(await cache.get('x', { codec: refusing })).toBeUndefined()
    expect(await cache.get('x')).toBeUndefined()
  })

  it('refuses a codec without decode', async () => {
    const { cache } = setUp()
    const half = { encode: codec.encode } as ValueCodec
    await expect(cache.set('k', 1, { codec: half })).rejects.toThrow(/codec/)
  })

  it('asks the judge about fresh and stale values, and loads with them at hand', async () => {
    const { clock, judged } = setUp()
    const seen: [string, boolean][] = []
    let verdict: Judgement = 'serve'
    const ask = (text: string) =>
      judged.getOrSet<Bytes>(
        'k',
        (ctx) => new Bytes(`${ctx.stale?.value.text ?? 'nothing'}+${text}`),
        (value, { fresh }) => {
          seen.push([(value as Bytes).text, fresh])
          return verdict
        },
        OPTIONS,
      )
    expect((await ask('a')).text).toBe('nothing+a')
    expect((await ask('b')).text).toBe('nothing+a')
    verdict = 'load'
    expect((await ask('c')).text).toBe('nothing+a+c')
    await clock.advance(11_000)
    verdict = 'serve'
    expect((await ask('d')).text).toBe('nothing+a+c')
    expect(seen).toEqual([
      ['nothing+a', true],
      ['nothing+a', true],
      ['nothing+a+c', false],
    ])
  })

  it('refreshes behind the caller where the judge says so', async () => {
    const { cache, judged } = setUp()
    await cache.set('k', new Bytes('old'), OPTIONS)
    const value = await judged.getOrSet(
      'k',
      () => new Bytes('new'),
      () => 'refresh',
      OPTIONS,
    )
    expect(value).toEqual(new Bytes('old'))
    await until('it is refreshed', async () => (await cache.get<Bytes>('k', OPTIONS))?.text === 'new')
  })

  it('counts what it peeked at as hits', async () => {
    const { cache, judged } = setUp()
    await cache.getOrSet('k', () => new Bytes('one'), OPTIONS)
    judged.countHit('k', true)
    judged.countHit('k', false)
    expect(cache.stats()).toMatchObject({ hits: { l1: 1, stale: 1 }, misses: 1, staleServed: 1 })
  })
})
