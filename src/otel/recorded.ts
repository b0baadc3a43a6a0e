import type { Meter } from '@opentelemetry/api'
import { loads, lookups } from '../cache/stats.ts'
import { replies } from '../http/counts.ts'
import { outboundEvents } from '../http/outbound-events.ts'
import { limitDegradedEvents, limitEvents } from '../limit/events.ts'
import { lockEvents } from '../lock/events.ts'
import { LabelCap } from '../observe/labels.ts'
import { hear, type Stop, stopAll } from '../observe/part.ts'
import { onceEvents } from '../once/events.ts'
import { queueAddEvents, queueBatchEvents } from '../queue/events.ts'

/** What only events say: times and decisions. */
export function recordEvents(meter: Meter): Stop {
  const cap = new LabelCap()
  const seconds = (name: string, description: string) =>
    meter.createHistogram(name, { description, unit: 's' })
  const lookup = seconds('holdfast.cache.lookup.duration', 'A look-up, with its load if there was one.')
  const load = seconds('holdfast.cache.load.duration', 'A loader.')
  const wait = seconds('holdfast.lock.wait', 'From asking for a lock to holding it.')
  const batch = seconds('holdfast.queue.batch.duration', 'One call of a handler.')
  const reply = seconds('holdfast.http.reply.duration', 'Until the reply of the response cache was known.')
  const call = seconds('holdfast.outbound.duration', 'A request to another service, as its caller saw it.')
  const decisions = meter.createCounter('holdfast.limit.decisions', { description: 'By outcome.' })
  const blind = meter.createCounter('holdfast.limit.degraded', {
    description: 'Decisions of an outage policy.',
  })
  const locks = meter.createCounter('holdfast.lock.events', { description: 'What happened to locks.' })
  const once = meter.createCounter('holdfast.once.calls', { description: 'By what they came to.' })
  const added = meter.createCounter('holdfast.queue.added', {
    description: 'Messages, by where they went.',
  })
  return stopAll([
    hear(lookups, ({ namespace, outcome, ms }) =>
      lookup.record(ms / 1_000, { namespace: cap.of(namespace || 'default'), outcome }),
    ),
    hear(loads, ({ namespace, ms, error }) => {
      const result = error === undefined ? 'ok' : 'error'
      load.record(ms / 1_000, { namespace: cap.of(namespace || 'default'), result })
    }),
    hear(limitEvents, ({ limiter, outcome }) => decisions.add(1, { limiter: cap.of(limiter), outcome })),
    hear(limitDegradedEvents, ({ limiter, policy }) => blind.add(1, { limiter: cap.of(limiter), policy })),
    hear(lockEvents, (heard) => {
      const { kind, event } = heard
      locks.add(1, { kind, event })
      if (event === 'acquired') wait.record(heard.waitedMs / 1_000, { kind })
    }),
    hear(onceEvents, ({ outcome }) => once.add(1, { outcome })),
    hear(queueAddEvents, ({ queue, outcome, messages }) =>
      added.add(messages, { queue: cap.of(queue), outcome }),
    ),
    hear(queueBatchEvents, ({ queue, outcome, ms }) =>
      batch.record(ms / 1_000, { queue: cap.of(queue), outcome }),
    ),
    hear(replies, ({ outcome, ms }) => reply.record(ms / 1_000, { outcome })),
    hear(outboundEvents, ({ route, outcome, ms }) =>
      call.record(ms / 1_000, { route: cap.of(route), outcome }),
    ),
  ])
}
