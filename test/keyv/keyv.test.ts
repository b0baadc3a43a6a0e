import { Keyv } from 'keyv'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { keyvStore } from '../../src/keyv/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const deadlines = { connect: '5s', read: '5s', write: '5s', invalidate: '10s' } as const
let names = 0

describe.each(['memory', 'Redis'])('Keyv on %s', (where) => {
  let redis: RedisServer | undefined
  let hf: Holdfast
  let other: Holdfast
  beforeAll(async () => {
    redis = where === 'Redis' ? await startRedis() : undefined
    hf = holdfast({ redis: redis?.url, deadlines })
    other = redis ? holdfast({ redis: redis.url, deadlines }) : hf
    await Promise.all([hf.ready('10s'), other.ready('10s')])
  })
  afterAll(async () => {
    await Promise.all([hf.close(), other.close()])
    await redis?.stop()
  })
  const fresh = (instance = hf, namespace = `ns${++names}`) =>
    new Keyv({ store: keyvStore(instance), namespace, throwOnErrors: true })

  it('sets, gets, has and deletes, and says what was there', async () => {
    const keyv = fresh()
    expect(await keyv.get('a')).toBeUndefined()
    expect(await keyv.has('a')).toBe(false)
    expect(await keyv.set('a', { deep: [1, 'two'] })).toBe(true)
    expect(await keyv.get('a')).toEqual({ deep: [1, 'two'] })
    expect(await keyv.has('a')).toBe(true)
    expect(await keyv.delete('a')).toBe(true)
    expect(await keyv.delete('a')).toBe(false)
    expect(await keyv.get('a')).toBeUndefined()
  })

  it('keeps falsy values apart from absent ones', async () => {
    const keyv = fresh()
    for (const value of [0, '', false, null]) {
      await keyv.set('falsy', value)
      expect(await keyv.get('falsy')).toBe(value)
      expect(await keyv.has('falsy')).toBe(true)
    }
  })

  it('lets a value go after its ttl in milliseconds, and keeps one without for ever', async () => {
    const keyv = fresh()
    await keyv.set('short', 1, 1_500)
    await keyv.set('long', 1)
    await keyv.set('zero', 1, 0)
    expect(await keyv.get('short')).toBe(1)
    await until('it is gone', async () => (await keyv.get('short')) === undefined)
    expect(await keyv.get('long')).toBe(1)
    expect(await keyv.get('zero')).toBe(1)
    const found = await hf.cache.namespace('keyv').inspect(`${keyv.namespace}:long`)
    expect(JSON.stringify(found)).toMatch(/\d/)
  })

  it('takes and gives many at a time, each with its own ttl', async () => {
    const keyv = fresh()
    const set = await keyv.setMany([
      { key: 'a', value: 1 },
      { key: 'b', value: 2, ttl: 60_000 },
      { key: 'c', value: 3, ttl: 50 },
      { key: 'a', value: 4 },
    ])
    expect(set).toEqual([true, true, true, true])
    expect(await keyv.get(['a', 'nope', 'b'])).toEqual([4, undefined, 2])
    expect(await keyv.has(['a', 'nope'])).toEqual([true, false])
    await until('the short one is gone', async () => (await keyv.get('c')) === undefined)
    expect(await keyv.delete(['a', 'b'])).toBe(true)
    expect(await keyv.get(['a', 'b'])).toEqual([undefined, undefined])
  })

  it('clears its own namespace and no other', async () => {
    const [one, two] = [fresh(), fresh()]
    await one.set('a', 1)
    await two.set('a', 2)
    await hf.cache.set('a', 'the application')
    await one.clear()
    expect(await one.get('a')).toBeUndefined()
    expect(await two.get('a')).toBe(2)
    expect(await hf.cache.get('a')).toBe('the application')
  })

  it('does not take one namespace for a part of another', async () => {
    const [one, two] = [fresh(hf, 'same'), fresh(hf, 'same*')]
    await one.set('x', 1)
    await two.set('x', 2)
    await two.clear()
    expect(await one.get('x')).toBe(1)
  })

  it('walks over its entries', async () => {
    const keyv = fresh()
    const wanted = new Map(Array.from({ length: 30 }, (_, n) => [`key ${n}: *?`, n]))
    for (const [key, value] of wanted) await keyv.set(key, value)
    await fresh().set('foreign', 1)
    if (!keyv.iterator) throw new Error('Keyv does not iterate')
    const found = new Map<string, number>()
    for await (const [key, value] of keyv.iterator(keyv.namespace)) found.set(key, value)
    expect(found).toEqual(wanted)
  })

  it('takes any text for a key', async () => {
    const keyv = fresh()
    for (const key of [
      'ünïcode 🎉',
      'a\nb\0c',
      'back\\slash',
      '{braces}*',
      '\ud800 half',
      'x'.repeat(2_000),
    ]) {
      await keyv.set(key, key.length)
      expect(await keyv.get(key)).toBe(key.length)
      expect(await keyv.delete(key)).toBe(true)
    }
    await keyv.set('a\nb', 1)
    expect(await keyv.get('a\\000ab')).toBeUndefined()
  })

  it('stores what is no text where Keyv is told not to serialise', async () => {
    const keyv = new Keyv({ store: keyvStore(hf), namespace: `raw${++names}` })
    keyv.serialize = undefined
    keyv.deserialize = undefined
    await keyv.set('a', { n: 1 })
    expect(await keyv.get('a')).toEqual({ n: 1 })
  })

  it('is seen by another process at once', async () => {
    const namespace = `shared${++names}`
    const [one, two] = [fresh(hf, namespace), fresh(other, namespace)]
    for (let n = 0; n < 5; n++) {
      await one.set('n', n)
      expect(await two.get('n')).toBe(n)
    }
    await two.delete('n')
    expect(await one.get('n')).toBeUndefined()
  })

  it('leaves the instance open when Keyv disconnects', async () => {
    const keyv = fresh()
    await keyv.disconnect()
    expect(hf.health().status).toBe('ok')
  })
})

it('misses, and answers false with an error event, while Redis is away', async () => {
  const redis = await startRedis()
  const hf = holdfast({ redis: redis.url, cache: { l1: false } })
  await hf.ready('10s')
  const keyv = new Keyv({ store: keyvStore(hf), namespace: 'away' })
  const errors: unknown[] = []
  keyv.on('error', (error: unknown) => errors.push(error))
  await keyv.set('a', 1)
  await redis.kill()
  expect(await keyv.get('a')).toBeUndefined()
  expect(await keyv.delete('a')).toBe(false)
  expect(errors).not.toEqual([])
  await hf.close()
  await redis.stop()
})

it('refuses options that it does not know', () => {
  const hf = holdfast()
  expect(() => keyvStore(hf, { arae: 'x' } as object)).toThrow(/did you mean 'area'/)
})
