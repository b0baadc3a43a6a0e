import { Counter, Histogram } from 'prom-client'
import { limitDegradedEvents, limitEvents } from '../limit/events.ts'
import { lockEvents } from '../lock/events.ts'
import { onceEvents } from '../once/events.ts'
import { LabelCap } from './labels.ts'
import { hear, type PartSetup, type Stop, stopAll } from './part.ts'

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300]

/** Limits, locks and run-once: what their events say, counted. */
export function sharedStateMetrics({ register }: PartSetup): Stop {
  const registers = [register]
  const cap = new LabelCap()
  const decisions = new Counter({
    name: 'holdfast_limit_decisions_total',
    help: 'Rate-limit decisions, by outcome; cached = answered from the local deny cache.',
    labelNames: ['limiter', 'outcome', 'cached'],
    registers,
  })
  const degraded = new Counter({
    name: 'holdfast_limit_degraded_total',
    help: 'Decisions that an outage policy took because Redis could not be asked.',
    labelNames: ['limiter', 'policy'],
    registers,
  })
  const locks = new Counter({
    name: 'holdfast_lock_events_total',
    help: 'What happened to locks, semaphores and read-write locks.',
    labelNames: ['kind', 'event', 'reason'],
    registers,
  })
  const waited = new Histogram({
    name: 'holdfast_lock_wait_seconds',
    help: 'From asking for a lock to holding it.',
    labelNames: ['kind'],
    buckets: SECONDS,
    registers,
  })
  const held = new Histogram({
    name: 'holdfast_lock_held_seconds',
    help: 'From holding a lock to its release or loss.',
    labelNames: ['kind'],
    buckets: SECONDS,
    registers,
  })
  const once = new Counter({
    name: 'holdfast_once_calls_total',
    help: 'Run-once calls, by what they came to.',
    labelNames: ['outcome'],
    registers,
  })
  const deaf = [
    hear(limitEvents, ({ limiter, outcome, cached }) => {
      decisions.inc({ limiter: cap.of(limiter), outcome, cached: String(cached) })
    }),
    hear(limitDegradedEvents, ({ limiter, policy }) => degraded.inc({ limiter: cap.of(limiter), policy })),
    hear(lockEvents, (heard) => {
      const { kind, event } = heard
      const reason = event === 'refused' ? heard.reason : event === 'lost' ? heard.cause : ''
      locks.inc({ kind, event, reason })
      if (event === 'acquired') waited.observe({ kind }, heard.waitedMs / 1_000)
      if (event === 'released' || event === 'lost') held.observe({ kind }, heard.heldMs / 1_000)
    }),
    hear(onceEvents, ({ outcome }) => once.inc({ outcome })),
  ]
  return stopAll(deaf)
}
