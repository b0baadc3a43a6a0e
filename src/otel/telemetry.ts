import type { Attributes, Meter, ObservableResult, Tracer } from '@opentelemetry/api'
import { type Clock, systemClock } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import { type Stop, stopAll } from '../observe/part.ts'
import { recordEvents } from './recorded.ts'
import { traceEvents } from './traced.ts'

/** What is measured, and by which meter and tracer. */
export interface TelemetryOptions {
  /** The instance to measure. */
  holdfast: Holdfast
  /** `metrics.getMeter('holdfast')` of `@opentelemetry/api`; without, nothing is counted. */
  meter?: Meter | undefined
  /** `trace.getTracer('holdfast')`; without, there are no spans. */
  tracer?: Tracer | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
}

/** What `createTelemetry` began. */
export interface Telemetry {
  /** Stops measuring. */
  close(): void
}

const OPTION_NAMES = ['holdfast', 'meter', 'tracer', 'clock']

/**
 * OpenTelemetry metrics and spans of an instance, by the meter and the tracer that are passed; this
 * package loads nothing of OpenTelemetry itself. Attributes hold names of your code, never a key, an
 * identity or an address. Spans are made when their work has ended, within the context it ran in: loads,
 * calls to other services, waits for locks, run-once, handlers of queues. Events are those of the process.
 * @throws InvalidOption
 */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  refuseUnknown(options, OPTION_NAMES, 'createTelemetry()')
  const { holdfast, meter, tracer, clock = systemClock } = options
  if (holdfast === undefined) {
    throw new InvalidOption('createTelemetry() got no instance', 'pass { holdfast: hf }')
  }
  const stops: Stop[] = []
  if (meter) stops.push(observeCounters(meter, holdfast), recordEvents(meter))
  if (tracer) stops.push(traceEvents(tracer, clock))
  return { close: stopAll(stops) }
}

type Observation = readonly [value: number, attributes: Attributes]

/** Read from the instance's own counters when the SDK collects, so that a hit pays nothing. */
function observeCounters(meter: Meter, hf: Holdfast): Stop {
  const stops: Stop[] = []
  const observe = (
    kind: 'createObservableCounter' | 'createObservableGauge',
    name: string,
    options: { description: string; unit?: string },
    read: () => Iterable<Observation>,
  ): void => {
    const instrument = meter[kind](name, options)
    const callback = (result: ObservableResult): void => {
      for (const [value, attributes] of read()) result.observe(value, attributes)
    }
    instrument.addCallback(callback)
    stops.push(() => instrument.removeCallback(callback))
  }
  observe(
    'createObservableCounter',
    'holdfast.cache.lookups',
    { description: 'Look-ups, by outcome; an error is neither hit nor miss.' },
    () => lookupsOf(hf),
  )
  observe(
    'createObservableCounter',
    'holdfast.cache.joined',
    { description: 'Callers that shared a load which another had started.' },
    () => [[hf.cache.stats().joined, {}]],
  )
  observe(
    'createObservableCounter',
    'holdfast.cache.stale_served',
    { description: 'Stale values handed out.' },
    () => [[hf.cache.stats().staleServed, {}]],
  )
  observe(
    'createObservableGauge',
    'holdfast.redis.up',
    { description: '1 while the connection is open for traffic.' },
    () => nodesOf(hf).map(({ role, node }) => [node.state === 'ready' ? 1 : 0, { role, node: node.address }]),
  )
  observe(
    'createObservableGauge',
    'holdfast.redis.round_trip',
    { description: 'Last measured round trip.', unit: 's' },
    () =>
      nodesOf(hf).flatMap(({ role, node }): Observation[] =>
        node.latency === undefined ? [] : [[node.latency / 1_000, { role, node: node.address }]],
      ),
  )
  observe(
    'createObservableGauge',
    'holdfast.queue.depth',
    { description: 'Messages by state, as last seen.' },
    () =>
      hf.health().queues.flatMap(({ queue, depth, dead, spilled }): Observation[] => [
        [depth, { queue, state: 'unsettled' }],
        [dead, { queue, state: 'dead' }],
        [spilled, { queue, state: 'spilled' }],
      ]),
  )
  observe(
    'createObservableGauge',
    'holdfast.queue.oldest',
    { description: 'Age of the oldest message that is not settled.', unit: 's' },
    () => hf.health().queues.map(({ queue, oldestMs }) => [oldestMs / 1_000, { queue }]),
  )
  return stopAll(stops)
}

function* lookupsOf(hf: Holdfast): Iterable<Observation> {
  const { hits, misses, errors } = hf.cache.stats()
  const outcomes = { l1: hits.l1, l2: hits.l2, stale: hits.stale, miss: misses, error: errors }
  for (const [outcome, count] of Object.entries(outcomes)) yield [count, { outcome }]
}

function nodesOf({ redis }: Holdfast) {
  return Object.entries(redis?.health() ?? {}).flatMap(([role, health]) =>
    (health?.nodes ?? []).map((node) => ({ role, node })),
  )
}
