import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LockEvent } from '../../src/lock/events.ts'
import { Locks } from '../../src/lock/locks.ts'
import type { OnceEvent } from '../../src/once/events.ts'
import { createOnce } from '../../src/once/once.ts'
import { until } from '../support/until.ts'

describe('what locks and run-once tell those who measure', () => {
  let heard: (LockEvent | OnceEvent)[] = []
  const hear = (message: unknown) => void heard.push(message as LockEvent | OnceEvent)
  beforeEach(() => {
    heard = []
    subscribe('holdfast:lock:event', hear)
    subscribe('holdfast:once:event', hear)
  })
  afterEach(() => {
    unsubscribe('holdfast:lock:event', hear)
    unsubscribe('holdfast:once:event', hear)
  })

  it('is each lease from its beginning to its end, and each refusal, without a name', async () => {
    const locks = new Locks()
    const lock = locks.lock('secret-name', { ttl: 100, renew: false })
    await lock.run(() => lock.tryAcquire())
    await lock.acquire()
    await until('it is lost', () => heard.at(-1) && 'event' in heard.at(-1)! && heard.length === 5)
    expect(heard.map((message) => 'event' in message && message.event)).toEqual([
      'acquired',
      'refused',
      'released',
      'acquired',
      'lost',
    ])
    expect(heard[1]).toMatchObject({ kind: 'lock', reason: 'timeout' })
    expect(heard[4]).toMatchObject({ kind: 'lock', cause: 'expired' })
    expect(JSON.stringify(heard)).not.toContain('secret-name')
  })

  it('is what each call of once came to, without its key', async () => {
    const once = createOnce()
    await once('secret-key', () => once('secret-key', () => 1).catch(() => 'kept'))
    await once('secret-key', () => 1)
    await once('secret-key', () => 1, { payload: 'other' }).catch(() => {})
    await once('other', () => Promise.reject(new Error('x'))).catch(() => {})
    expect(heard.map((message) => 'outcome' in message && message.outcome)).toEqual([
      'running',
      'ran',
      'repeated',
      'mismatch',
      'threw',
    ])
    expect(JSON.stringify(heard)).not.toMatch(/secret-key|kept/)
  })
})
