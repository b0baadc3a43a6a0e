import type { Attributes, SpanKind, SpanStatusCode, Tracer } from '@opentelemetry/api'
import type { Clock } from '../base/clock.ts'
import { loads } from '../cache/stats.ts'
import { outboundEvents } from '../http/outbound-events.ts'
import { lockEvents } from '../lock/events.ts'
import { hear, type Stop, stopAll } from '../observe/part.ts'
import { onceEvents } from '../once/events.ts'
import { queueBatchEvents } from '../queue/events.ts'

// Values of OpenTelemetry's enums, which its API keeps stable: nothing of it is loaded here.
const INTERNAL: SpanKind.INTERNAL = 0
const CLIENT: SpanKind.CLIENT = 2
const CONSUMER: SpanKind.CONSUMER = 4
const ERROR: SpanStatusCode.ERROR = 2

/** A lock that was free, or a cached answer, is no span: only what takes time. */
const SHORTEST_WAIT_MS = 1

interface Ended {
  readonly name: string
  readonly kind: SpanKind
  readonly ms: number
  readonly attributes: Attributes
  readonly failed: boolean
}

/** Each span is made when its work has ended, as a child of the span in whose context that ran. */
export function traceEvents(tracer: Tracer, clock: Clock): Stop {
  const span = ({ name, kind, ms, attributes, failed }: Ended): void => {
    const end = clock.wall()
    const made = tracer.startSpan(name, { kind, attributes, startTime: end - ms })
    if (failed) made.setStatus({ code: ERROR })
    made.end(end)
  }
  return stopAll([
    hear(loads, ({ namespace, ms, error, background, fill }) =>
      span({
        name: 'holdfast.cache.load',
        kind: INTERNAL,
        ms,
        attributes: {
          'holdfast.namespace': namespace,
          'holdfast.background': background,
          'holdfast.fill': fill,
        },
        failed: error !== undefined,
      }),
    ),
    hear(outboundEvents, ({ route, method, outcome, status, ms }) => {
      if (outcome === 'hit' || outcome === 'stale') return
      const known = status === undefined ? {} : { 'http.response.status_code': status }
      span({
        name: `holdfast.outbound ${route}`,
        kind: CLIENT,
        ms,
        attributes: { 'http.request.method': method, 'holdfast.outcome': outcome, ...known },
        failed: outcome === 'failure' || outcome === 'stale-error',
      })
    }),
    hear(lockEvents, (heard) => {
      if (heard.event !== 'acquired' && heard.event !== 'refused') return
      if (heard.waitedMs < SHORTEST_WAIT_MS) return
      const failed = heard.event === 'refused'
      const attributes = { 'holdfast.kind': heard.kind, 'holdfast.event': heard.event }
      span({ name: 'holdfast.lock.wait', kind: INTERNAL, ms: heard.waitedMs, attributes, failed })
    }),
    hear(onceEvents, ({ outcome, ms }) =>
      span({
        name: 'holdfast.once',
        kind: INTERNAL,
        ms,
        attributes: { 'holdfast.outcome': outcome },
        failed: outcome !== 'ran' && outcome !== 'repeated',
      }),
    ),
    hear(queueBatchEvents, ({ queue, outcome, messages, done, retried, dead, ms }) =>
      span({
        name: `holdfast.queue ${queue}`,
        kind: CONSUMER,
        ms,
        attributes: {
          'messaging.batch.message_count': messages,
          'holdfast.done': done,
          'holdfast.retried': retried,
          'holdfast.dead': dead,
        },
        failed: outcome !== 'answered',
      }),
    ),
  ])
}
