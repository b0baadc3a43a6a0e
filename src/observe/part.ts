import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Registry } from 'prom-client'
import type { Clock } from '../base/clock.ts'
import type { EventChannel } from '../base/events.ts'
import type { Holdfast } from '../holdfast.ts'

/** What each family of metrics gets to build itself from. */
export interface PartSetup {
  readonly register: Registry
  /** The instances that are measured now. */
  readonly instances: ReadonlySet<Holdfast>
  readonly clock: Clock
}

/** One family of metrics: its series go with `stop`. */
export interface Part {
  readonly names: readonly string[]
  stop(): void
}

/** Hears a channel until the returned function is called. */
export function hear<Payload extends object>(
  channel: EventChannel<Payload>,
  listener: (payload: Payload) => void,
): () => void {
  const heard = (message: unknown): void => listener(message as Payload)
  subscribe(channel.name, heard)
  return () => unsubscribe(channel.name, heard)
}
