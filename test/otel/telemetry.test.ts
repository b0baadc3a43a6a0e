import {
  type Attributes,
  createNoopMeter,
  type Meter,
  type SpanOptions,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { afterEach, describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { createTelemetry } from '../../src/otel/telemetry.ts'

interface Point {
  readonly name: string
  readonly value: number
  readonly attributes: Attributes
}

/** A meter that keeps what it is told; instruments are those of the API that do nothing, with ears. */
function meterOfTest() {
  const recorded: Point[] = []
  type Callback = (result: { observe(value: number, attributes?: Attributes): void }) => unknown
  const callbacks = new Map<Callback, string>()
  const quiet = createNoopMeter()
  const listening = (name: string) => ({
    add: (value: number, attributes: Attributes = {}) => void recorded.push({ name, value, attributes }),
    record: (value: number, attributes: Attributes = {}) => void recorded.push({ name, value, attributes }),
  })
  const observable = (name: string) => ({
    addCallback: (callback: Callback) => void callbacks.set(callback, name),
    removeCallback: (callback: Callback) => void callbacks.delete(callback),
  })
  const meter: Meter = {
    ...quiet,
    createCounter: (name) => listening(name),
    createHistogram: (name) => listening(name),
    createGauge: (name) => listening(name),
    createUpDownCounter: (name) => listening(name),
    createObservableCounter: (name) => observable(name),
    createObservableGauge: (name) => observable(name),
    createObservableUpDownCounter: (name) => observable(name),
    addBatchObservableCallback: () => undefined,
    removeBatchObservableCallback: () => undefined,
  }
  const collect = (): Point[] => {
    const points: Point[] = []
    for (const [callback, name] of callbacks) {
      callback({ observe: (value, attributes = {}) => void points.push({ name, value, attributes }) })
    }
    return points
  }
  return { meter, recorded, collect }
}

interface Made {
  readonly name: string
  readonly options: SpanOptions | undefined
  failed: boolean
  end: number | undefined
}

function tracerOfTest() {
  const spans: Made[] = []
  const quiet = trace.getTracer('test')
  const tracer: Tracer = {
    startActiveSpan: quiet.startActiveSpan.bind(quiet),
    startSpan(name, options) {
      const made: Made = { name, options, failed: false, end: undefined }
      spans.push(made)
      const span = quiet.startSpan(name, options)
      span.setStatus = ({ code }) => {
        made.failed = code === 2
        return span
      }
      span.end = (at) => {
        made.end = Number(at)
      }
      return span
    },
  }
  return { tracer, spans }
}

let hf: Holdfast
afterEach(() => hf.close())

describe('the bridge to OpenTelemetry', () => {
  it('reads counters when they are collected, and records times and decisions as they come', async () => {
    hf = holdfast()
    const { meter, recorded, collect } = meterOfTest()
    const telemetry = createTelemetry({ holdfast: hf, meter })
    for (let i = 0; i < 10; i++) await hf.cache.getOrSet('ada', () => 1, { ttl: '1m' })
    await hf.limiter('chat', '1/minute').consume('ada')
    await hf.lock('ada').run(() => 1)
    await hf.once('ada', () => 1)
    const seen = collect()
    const value = (name: string, key: string, word: string) =>
      seen.find((point) => point.name === name && point.attributes[key] === word)?.value
    expect(value('holdfast.cache.lookups', 'outcome', 'l1')).toBe(9)
    expect(value('holdfast.cache.lookups', 'outcome', 'miss')).toBe(1)
    const count = (name: string) => recorded.filter((point) => point.name === name).length
    expect(count('holdfast.cache.lookup.duration')).toBe(10)
    expect(count('holdfast.cache.load.duration')).toBe(1)
    expect(count('holdfast.limit.decisions')).toBe(1)
    expect(count('holdfast.once.calls')).toBe(1)
    expect(count('holdfast.lock.wait')).toBeGreaterThan(0)
    expect(JSON.stringify([seen, recorded])).not.toContain('ada')
    const before = recorded.length
    telemetry.close()
    await hf.cache.get('ada')
    expect(recorded).toHaveLength(before)
    expect(collect()).toEqual([])
  })

  it('makes a span of what takes time, with its beginning, its end and its failure', async () => {
    hf = holdfast()
    const { tracer, spans } = tracerOfTest()
    const telemetry = createTelemetry({ holdfast: hf, tracer })
    const slow = () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 20))
    await hf.cache.namespace('users').getOrSet('ada', slow, { ttl: '1m' })
    await hf.cache.namespace('users').getOrSet('ada', slow, { ttl: '1m' })
    await expect(
      hf.cache.getOrSet('x', () => Promise.reject(new Error('secret of ada')), { ttl: '1m' }),
    ).rejects.toThrow('secret')
    await hf.once('ada', () => 1)
    const loads = spans.filter(({ name }) => name === 'holdfast.cache.load')
    expect(loads.map(({ failed }) => failed)).toEqual([false, true])
    expect(loads[0]!.options?.attributes).toMatchObject({ 'holdfast.namespace': 'users' })
    expect(loads[0]!.end! - Number(loads[0]!.options?.startTime)).toBeGreaterThan(15)
    expect(spans.some(({ name }) => name === 'holdfast.once')).toBe(true)
    expect(JSON.stringify(spans)).not.toContain('ada')
    telemetry.close()
  })

  it('refuses what it does not know', () => {
    hf = holdfast()
    // @ts-expect-error a slip of the hand
    expect(() => createTelemetry({ holdfast: hf, meters: createNoopMeter() })).toThrow(/did you mean 'meter'/)
    // @ts-expect-error nothing to measure
    expect(() => createTelemetry({})).toThrow(InvalidOption)
    createTelemetry({ holdfast: hf }).close()
  })
})
