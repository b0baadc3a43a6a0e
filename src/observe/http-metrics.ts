import { Counter, Histogram } from 'prom-client'
import { eventChannel } from '../base/events.ts'
import { degraded, replies } from '../http/counts.ts'
import { outboundEvents, upstreamFailureEvents } from '../http/outbound-events.ts'
import { LabelCap } from './labels.ts'
import { hear, type PartSetup, type Stop, stopAll } from './part.ts'

const SECONDS = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** What stands above this floor is heard by the name of its channel. */
const undici = eventChannel<{ readonly op: string }>('holdfast:undici:degraded')
const administration = eventChannel<{ readonly action: string; readonly outcome: string }>(
  'holdfast:admin:audit',
)

/** The response cache, calls to other services, and what was done by hand. Never a URL. */
export function httpMetrics({ register }: PartSetup): Stop {
  const registers = [register]
  const cap = new LabelCap()
  const answered = new Counter({
    name: 'holdfast_http_replies_total',
    help: 'Requests that the response cache answered, by outcome and class of status.',
    labelNames: ['outcome', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'holdfast_http_reply_seconds',
    help: 'Until the reply of the response cache was known.',
    labelNames: ['outcome'],
    buckets: SECONDS,
    registers,
  })
  const weakened = new Counter({
    name: 'holdfast_http_degraded_total',
    help: 'Answers that were less than promised: stale for an error, cut off, an invalidation unconfirmed.',
    labelNames: ['what'],
    registers,
  })
  const calls = new Counter({
    name: 'holdfast_outbound_requests_total',
    help: 'Requests to other services, by where their answer came from.',
    labelNames: ['route', 'outcome'],
    registers,
  })
  const callSeconds = new Histogram({
    name: 'holdfast_outbound_seconds',
    help: 'Time of a request to another service, as its caller saw it.',
    labelNames: ['route', 'outcome'],
    buckets: SECONDS,
    registers,
  })
  const failures = new Counter({
    name: 'holdfast_outbound_failures_total',
    help: 'Fetches from another service that failed, whatever was answered instead.',
    labelNames: ['route', 'kind'],
    registers,
  })
  const storeless = new Counter({
    name: 'holdfast_undici_degraded_total',
    help: "Times that undici's store could not ask the cache, and went on without it.",
    labelNames: ['op'],
    registers,
  })
  const actions = new Counter({
    name: 'holdfast_admin_actions_total',
    help: 'What the audit log of the administration says, by action and outcome.',
    labelNames: ['action', 'outcome'],
    registers,
  })
  return stopAll([
    hear(replies, ({ outcome, status, ms }) => {
      answered.inc({ outcome, status: `${Math.floor(status / 100)}xx` })
      seconds.observe({ outcome }, ms / 1_000)
    }),
    hear(degraded, ({ what }) => weakened.inc({ what })),
    hear(outboundEvents, ({ route, outcome, ms }) => {
      const labels = { route: cap.of(route), outcome }
      calls.inc(labels)
      callSeconds.observe(labels, ms / 1_000)
    }),
    hear(upstreamFailureEvents, ({ route, kind }) => failures.inc({ route: cap.of(route), kind })),
    hear(undici, ({ op }) => storeless.inc({ op })),
    hear(administration, ({ action, outcome }) => actions.inc({ action: cap.of(action), outcome })),
  ])
}
