import { Counter, Gauge } from 'prom-client'
import type { Clock } from '../base/clock.ts'
import { eventChannel } from '../base/events.ts'
import type { RedisEvent } from '../redis/events.ts'
import { hear, type PartSetup, type Stop, stopAll } from './part.ts'

const COUNTED = ['ready', 'lost', 'refused', 'timeout', 'gap', 'topology'] as const

/** Connections: their state now, what happened to them, and how long they were away. */
export function redisMetrics({ register, instances, clock }: PartSetup): Stop {
  const registers = [register]
  const events = new Counter({
    name: 'holdfast_redis_events_total',
    help: 'Connections ready, lost or refused, calls let go at their deadline, gaps of the push connection.',
    labelNames: ['node', 'event'],
    registers,
  })
  const outages = new Outages(clock)
  new Gauge({
    name: 'holdfast_redis_up',
    help: '1 while the connection to the node is open for traffic.',
    labelNames: ['role', 'node'],
    registers,
    collect() {
      this.reset()
      for (const [role, node] of nodes(instances)) {
        this.set({ role, node: node.address }, node.state === 'ready' ? 1 : 0)
      }
    },
  })
  new Gauge({
    name: 'holdfast_redis_round_trip_seconds',
    help: 'Last measured round trip.',
    labelNames: ['role', 'node'],
    registers,
    collect() {
      this.reset()
      for (const [role, { address, latency }] of nodes(instances)) {
        if (latency !== undefined) this.set({ role, node: address }, latency / 1_000)
      }
    },
  })
  new Counter({
    name: 'holdfast_redis_round_trips_total',
    help: 'Calls that went out to the node.',
    labelNames: ['node'],
    registers,
    collect() {
      this.reset()
      for (const { address, sent } of connections(instances)) this.inc({ node: address }, sent)
    },
  })
  new Gauge({
    name: 'holdfast_redis_pending',
    help: 'Calls that wait for an answer now; all of a node share one connection.',
    labelNames: ['node'],
    registers,
    collect() {
      this.reset()
      for (const { address, pending } of connections(instances)) this.inc({ node: address }, pending)
    },
  })
  new Counter({
    name: 'holdfast_redis_degraded_seconds_total',
    help: 'Time without a connection that is open for traffic.',
    labelNames: ['node'],
    registers,
    collect() {
      this.reset()
      for (const [node, seconds] of outages.seconds()) this.inc({ node }, seconds)
    },
  })
  const deaf = COUNTED.map((event) =>
    hear(eventChannel<RedisEvent>(`holdfast:redis:${event}`), ({ address }) => {
      events.inc({ node: address, event })
      if (event === 'ready') outages.end(address)
      else if (event === 'lost' || event === 'refused') outages.begin(address)
    }),
  )
  return stopAll(deaf)
}

/** Adds up how long each node was away, an outage that still lasts included. */
class Outages {
  readonly #clock: Clock
  readonly #nodes = new Map<string, { past: number; began: number | undefined }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  begin(address: string): void {
    const node = this.#nodes.get(address)
    const now = this.#clock.mono()
    if (node === undefined) this.#nodes.set(address, { past: 0, began: now })
    else node.began ??= now
  }

  end(address: string): void {
    const node = this.#nodes.get(address)
    if (node?.began === undefined) return
    node.past += this.#clock.mono() - node.began
    node.began = undefined
  }

  *seconds(): Iterable<readonly [string, number]> {
    const now = this.#clock.mono()
    for (const [address, { past, began }] of this.#nodes) {
      yield [address, (past + (began === undefined ? 0 : now - began)) / 1_000]
    }
  }
}

function* nodes(instances: PartSetup['instances']) {
  for (const { redis } of instances) {
    for (const [role, health] of Object.entries(redis?.health() ?? {})) {
      for (const node of health?.nodes ?? []) yield [role, node] as const
    }
  }
}

/** Each connection once: roles with the same address share theirs. */
function* connections(instances: PartSetup['instances']) {
  for (const { redis } of instances) {
    const seen = new Set<string>()
    for (const health of Object.values(redis?.health() ?? {})) {
      for (const node of health?.nodes ?? []) {
        const place = `${health?.label} ${node.address}`
        if (!seen.has(place)) yield node
        seen.add(place)
      }
    }
  }
}
