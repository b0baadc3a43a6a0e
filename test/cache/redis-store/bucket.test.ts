import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bucket, keyName, tagName } from '../../../src/cache/redis-store/bucket.ts'
import { createLayout } from '../../../src/cache/redis-store/layout.ts'
import { createPort } from '../../../src/redis/create-port.ts'
import type { RedisPort } from '../../../src/redis/port.ts'

/** Own replies travel on another connection than the stream, so numbers come in any order. */
describe('what a bucket knows of late invalidations', () => {
  let port: RedisPort
  let bucket: Bucket

  beforeEach(() => {
    port = createPort({ topology: 'single', label: 'nowhere', dial: () => new Promise(() => {}) })
    bucket = new Bucket(port, createLayout('test', 0))
    bucket.flush('epoch')
  })
  afterEach(() => port.close())

  it('keeps the larger of two numbers of a name, whichever comes last', () => {
    bucket.note([keyName('a')], 6)
    bucket.note([keyName('a')], 5)
    expect(bucket.isCurrent([keyName('a')], 5)).toBe(false)
    expect(bucket.isCurrent([keyName('a')], 6)).toBe(true)
    expect(bucket.isCurrent([keyName('b')], 0)).toBe(true)
  })

  it('does not forget a newer name when a pattern of an earlier number is told late', () => {
    bucket.note([tagName('t')], 35)
    bucket.noteAny(33)
    expect(bucket.isCurrent([keyName('a'), tagName('t')], 33)).toBe(false)
    expect(bucket.isCurrent([keyName('a'), tagName('t')], 35)).toBe(true)
    expect(bucket.isCurrent([keyName('a')], 32)).toBe(false)
  })

  it('takes any name for invalidated once there are too many to remember', () => {
    for (let i = 1; i <= 5_000; i++) bucket.note([keyName(`k${i}`)], i)
    expect(bucket.isCurrent([keyName('k1')], 1)).toBe(false)
    expect(bucket.isCurrent([keyName('other')], 5_000)).toBe(true)
  })
})
