import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Admin, createAdmin } from '../../src/admin/admin.ts'
import { holdfast } from '../../src/holdfast.ts'

interface Listed {
  readonly pattern: string
  readonly keys: readonly string[]
  readonly tags: readonly { readonly tag: string }[]
}

describe('names as the whole cache lists them', () => {
  const hf = holdfast({ namespace: 'shop' })
  let admin: Admin
  const ask = async (method: string, path: string) => {
    const request = new Request(`http://localhost/api/v1/${path}`, { method })
    const answer = await admin.fetch(request, { address: '127.0.0.1' })
    return (await answer.json()) as Listed
  }
  beforeAll(async () => {
    admin = createAdmin({ holdfast: hf, open: true })
    await hf.cache.set('p1', 1, { tags: ['new'] })
    const products = hf.cache.namespace('products')
    await products.set('p1', 1, { tags: ['new'] })
    await products.set('p2', 1)
    await products.namespace('old').set('p1', 1)
  })
  afterAll(async () => {
    await admin.close()
    await hf.close()
  })

  it('are patterns of one namespace where they name one', async () => {
    const { pattern, keys } = await ask('GET', 'cache/keys?pattern=products|p*')
    expect([pattern, keys.toSorted()]).toEqual(['products|p*', ['products|p1', 'products|p2']])
    expect(await ask('GET', 'cache/keys?pattern=products|old|*')).toMatchObject({ keys: ['products|old|p1'] })
    expect(await ask('GET', 'cache/keys?pattern=prod*|p1')).toMatchObject({ keys: [] })
  })

  it('are tags of one namespace, counted and invalidated there alone', async () => {
    const { tags } = await ask('GET', 'cache/tags')
    expect(tags).toEqual(expect.arrayContaining([{ tag: 'new' }, { tag: 'products|new' }]))
    expect(await ask('DELETE', 'cache/tags/products%7Cnew?dryRun=true')).toMatchObject({
      would_invalidate: 1,
    })
    await ask('DELETE', 'cache/tags/products%7Cnew')
    expect(await hf.cache.has('p1')).toBe(true)
    expect(await hf.cache.namespace('products').has('p1')).toBe(false)
  })

  it('are cleared in one namespace, counted before', async () => {
    expect(await ask('DELETE', 'cache/clear?pattern=products|p2&dryRun=true')).toMatchObject({
      would_delete: 1,
    })
    expect(await ask('DELETE', 'cache/clear?pattern=products|p2')).toMatchObject({ deleted: 1 })
    expect(await hf.cache.has('p1')).toBe(true)
  })
})
