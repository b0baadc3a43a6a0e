import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { Nap } from '../../src/lock/nap.ts'

const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

describe('a nap', () => {
  it('ends early when told, also just before it begins, until it is armed again', async () => {
    const nap = new Nap(systemClock, undefined)
    nap.end()
    await nap.sleep(60_000)
    nap.rearm()
    let awake = false
    const sleeping = nap.sleep(60_000).then(() => {
      awake = true
    })
    await turns()
    expect(awake).toBe(false)
    nap.end()
    await sleeping
  })

  it('that waited for something leaves the naps after it their length', async () => {
    const nap = new Nap(systemClock, undefined)
    await nap.until(Promise.resolve())
    let awake = false
    const sleeping = nap.sleep(60_000).then(() => {
      awake = true
    })
    await turns()
    expect(awake).toBe(false)
    nap.end()
    await sleeping
  })

  it('rejects with the reason of its signal', async () => {
    const stop = new AbortController()
    const nap = new Nap(systemClock, stop.signal)
    const waiting = nap.until(new Promise(() => {}))
    stop.abort(new Error('left'))
    await expect(waiting).rejects.toThrow('left')
    await expect(nap.sleep(1)).rejects.toThrow('left')
  })
})
