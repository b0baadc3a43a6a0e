import { Counter, Gauge, Histogram } from 'prom-client'
import {
  queueAddEvents,
  queueBatchEvents,
  queueFaultEvents,
  queueLeaseEvents,
  queueSkipEvents,
} from '../queue/events.ts'
import { spillEvents } from '../queue/spill-events.ts'
import { LabelCap } from './labels.ts'
import { hear, type PartSetup, type Stop, stopAll } from './part.ts'

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900]

/** Queues: what waits now, and what became of it. */
export function queueMetrics({ register, instances }: PartSetup): Stop {
  const registers = [register]
  const cap = new LabelCap()
  const stats = () => [...instances].flatMap((hf) => hf.health().queues)
  new Gauge({
    name: 'holdfast_queue_depth',
    help: 'Messages, by state, as last seen: unsettled (waiting or in a handler), dead, in the local file.',
    labelNames: ['queue', 'state'],
    registers,
    collect() {
      this.reset()
      for (const { queue, depth, dead, spilled } of stats()) {
        const states = { unsettled: depth, dead, spilled }
        for (const [state, count] of Object.entries(states)) this.inc({ queue: cap.of(queue), state }, count)
      }
    },
  })
  new Gauge({
    name: 'holdfast_queue_oldest_seconds',
    help: 'Age of the oldest message that is not settled.',
    labelNames: ['queue'],
    registers,
    collect() {
      this.reset()
      for (const { queue, oldestMs } of stats()) this.set({ queue: cap.of(queue) }, oldestMs / 1_000)
    },
  })
  new Gauge({
    name: 'holdfast_queue_workers',
    help: 'Live worker processes.',
    labelNames: ['queue'],
    registers,
    collect() {
      this.reset()
      for (const { queue, workers } of stats()) this.set({ queue: cap.of(queue) }, workers)
    },
  })
  const added = new Counter({
    name: 'holdfast_queue_added_total',
    help: 'Messages added, by where they went.',
    labelNames: ['queue', 'outcome'],
    registers,
  })
  const settled = new Counter({
    name: 'holdfast_queue_settled_total',
    help: 'Messages done, tried again, dead, or skipped as a duplicate or superseded.',
    labelNames: ['queue', 'outcome'],
    registers,
  })
  const batches = new Histogram({
    name: 'holdfast_queue_batch_seconds',
    help: 'One call of a handler.',
    labelNames: ['queue', 'outcome'],
    buckets: SECONDS,
    registers,
  })
  const waited = new Histogram({
    name: 'holdfast_queue_wait_seconds',
    help: 'How long the oldest message of a batch had waited since its add.',
    labelNames: ['queue'],
    buckets: SECONDS,
    registers,
  })
  const leases = new Counter({
    name: 'holdfast_queue_leases_total',
    help: 'Partitions taken, released and lost by this process.',
    labelNames: ['queue', 'state'],
    registers,
  })
  const faults = new Counter({
    name: 'holdfast_queue_faults_total',
    help: 'What went wrong behind the back of callers, and is tried again.',
    labelNames: ['queue', 'at'],
    registers,
  })
  const spill = new Counter({
    name: 'holdfast_queue_spill_events_total',
    help: 'What happened to the local file: a torn end cut off, rotten bytes, a disk that refused.',
    labelNames: ['queue', 'kind'],
    registers,
  })
  const deaf = [
    hear(queueAddEvents, (e) => added.inc({ queue: cap.of(e.queue), outcome: e.outcome }, e.messages)),
    hear(queueBatchEvents, (e) => {
      const queue = cap.of(e.queue)
      settled.inc({ queue, outcome: 'done' }, e.done)
      settled.inc({ queue, outcome: 'retried' }, e.retried)
      settled.inc({ queue, outcome: 'dead' }, e.dead)
      batches.observe({ queue, outcome: e.outcome }, e.ms / 1_000)
      waited.observe({ queue }, Math.max(0, e.ageMs) / 1_000)
    }),
    hear(queueSkipEvents, (e) => settled.inc({ queue: cap.of(e.queue), outcome: e.reason }, e.messages)),
    hear(queueLeaseEvents, (e) => leases.inc({ queue: cap.of(e.queue), state: e.state })),
    hear(spillEvents, (e) => spill.inc({ queue: cap.of(e.queue), kind: e.kind })),
    hear(queueFaultEvents, (e) => faults.inc({ queue: cap.of(e.queue), at: e.at })),
  ]
  return stopAll(deaf)
}
