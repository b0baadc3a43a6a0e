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

/** Ends what one family of metrics hears; its series are taken from the registry by its owner. */
export type Stop = () => void

/** Hears a channel until the returned function is called. */
export function hear<Payload extends object>(
  channel: EventChannel<Payload>,
  listener: (payload: Payload) => void,
): Stop {
  const heard = (message: unknown): void => listener(message as Payload)
  subscribe(channel.name, heard)
  return () => unsubscribe(channel.name, heard)
}

/** Several as one. */
export function stopAll(stops: readonly Stop[]): Stop {
  return () => {
    for (const stop of stops) stop()
  }
}
