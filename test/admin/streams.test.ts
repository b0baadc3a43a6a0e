import { describe, expect, it } from 'vitest'
import { auditEvents } from '../../src/admin/audit.ts'
import type { Principal } from '../../src/admin/principal.ts'
import { Streams } from '../../src/admin/streams.ts'
import { Watcher } from '../../src/admin/watcher.ts'
import type { Rolling } from '../../src/observe/rolling.ts'
import type { Overview } from '../../src/observe/rolling-shapes.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

const EVE: Principal = { name: 'eve', edition: 'enterprise', namespace: undefined }

function setUp() {
  const clock = new FakeClock()
  const ticks = new Set<(overview: Overview) => void>()
  const overview = (): Overview => ({ at: 'now', filling: 'x'.repeat(50_000) }) as never
  const rolling: Pick<Rolling, 'overview' | 'onTick'> = {
    overview,
    onTick(listener) {
      ticks.add(listener)
      return () => ticks.delete(listener)
    },
  }
  const watcher = new Watcher(clock)
  const streams = new Streams(rolling as Rolling, watcher, clock)
  return { clock, ticks, overview, streams, watcher }
}

describe('streams of the administration', () => {
  it('hear nothing while nobody listens, and beat while somebody does', async () => {
    const { clock, ticks, streams, watcher } = setUp()
    expect([ticks.size, auditEvents.active]).toEqual([0, false])
    const reader = streams.response(EVE).body!.getReader()
    expect([ticks.size, auditEvents.active]).toEqual([1, true])
    const next = async () => Buffer.from((await reader.read()).value!).toString()
    expect(await next()).toMatch(/^retry: \d+\n\n$/)
    expect(await next()).toMatch(/^event: overview\n/)
    await clock.advance(15_000)
    expect(await next()).toBe(': still here\n\n')
    await clock.advance(15_000)
    expect(await next()).toBe(': still here\n\n')
    await reader.cancel()
    expect([ticks.size, auditEvents.active, streams.count]).toEqual([0, false, 0])
    watcher.stop()
  })

  it('let who does not read miss events, instead of keeping them in memory', async () => {
    const { ticks, overview, streams, watcher } = setUp()
    const { body } = streams.response(EVE)
    for (let i = 0; i < 100; i++) for (const tick of ticks) tick(overview())
    streams.close()
    let bytes = 0
    for await (const chunk of body!) bytes += chunk.length
    expect(bytes).toBeGreaterThan(50_000)
    expect(bytes).toBeLessThan(500_000)
    expect(() => streams.response(EVE)).toThrow(/ends/)
    watcher.stop()
  })
})
