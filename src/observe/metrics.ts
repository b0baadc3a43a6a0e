import { Registry } from 'prom-client'
import { type Clock, systemClock } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import { cacheMetrics } from './cache-metrics.ts'
import { clientMetrics } from './client-metrics.ts'
import { httpMetrics } from './http-metrics.ts'
import { type Stop, stopAll } from './part.ts'
import { queueMetrics } from './queue-metrics.ts'
import { redisMetrics } from './redis-metrics.ts'
import { serverMetrics } from './server-metrics.ts'
import { sharedStateMetrics } from './shared-state-metrics.ts'

/** What is counted, and in which registry. */
export interface MetricsOptions {
  /** The instance to measure. */
  holdfast: Holdfast
  /** Where the series go. @default a registry of their own */
  register?: Registry | undefined
  /**
   * Whether `cache_response_seconds` and `holdfast_cache_entries_total` hear every cache operation:
   * about a microsecond each. Decided by the first call for a registry. @default true
   */
  latency?: boolean | undefined
  /** Whether a scrape asks the servers for INFO, one command each. As `latency`. @default true */
  server?: boolean | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
}

/** The counters of an instance in a registry of prom-client. */
export interface Metrics {
  readonly register: Registry
  /** The `Content-Type` of `text()`. */
  readonly contentType: string
  /** The Prometheus text exposition of the whole registry. */
  text(): Promise<string>
  /** Stops measuring this instance; with the last one its registry's series go. */
  close(): void
}

interface Desk {
  readonly instances: Set<Holdfast>
  /** Our series in the registry: what building them added to it. */
  readonly names: readonly string[]
  readonly stop: Stop
}

/** One desk per registry: a second instance adds to the same series instead of registering twice. */
const desks = new WeakMap<Registry, Desk>()

const OPTION_NAMES = ['holdfast', 'register', 'latency', 'server', 'clock']

/**
 * Prometheus metrics of an instance, in prom-client's registry. No key, identity or value is ever a
 * label; label values that come from the code (namespaces, limiters) are bounded to 200, the rest
 * shows as `other`. Events of limits, locks and run-once are those of the whole process.
 * @throws InvalidOption for an unknown option or when `holdfast` is missing
 */
export function createMetrics(options: MetricsOptions): Metrics {
  refuseUnknown(options, OPTION_NAMES, 'createMetrics()')
  const { holdfast, register = new Registry(), latency = true, server = true, clock = systemClock } = options
  if (holdfast === undefined) {
    throw new InvalidOption('createMetrics() got no instance', 'pass { holdfast: hf }')
  }
  let desk = desks.get(register)
  if (desk === undefined) {
    const instances = new Set<Holdfast>()
    const setup = { register, instances, clock }
    const foreign = new Set(namesIn(register))
    const stop = stopAll([
      cacheMetrics(setup, latency),
      sharedStateMetrics(setup),
      queueMetrics(setup),
      redisMetrics(setup),
      ...(server ? [serverMetrics(setup)] : []),
      httpMetrics(setup),
      clientMetrics(setup),
    ])
    desk = { instances, names: namesIn(register).filter((name) => !foreign.has(name)), stop }
    desks.set(register, desk)
  }
  const { instances, names, stop } = desk
  instances.add(holdfast)
  return {
    register,
    contentType: register.contentType,
    text: () => register.metrics(),
    close: () => {
      instances.delete(holdfast)
      if (instances.size > 0 || desks.get(register)?.instances !== instances) return
      desks.delete(register)
      stop()
      for (const name of names) register.removeSingleMetric(name)
    },
  }
}

const namesIn = (register: Registry): string[] => register.getMetricsAsArray().map(({ name }) => name)
