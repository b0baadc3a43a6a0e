import { channel } from 'node:diagnostics_channel'

/**
 * A typed `node:diagnostics_channel`. Publishers ask `active` first and build the payload only
 * then, so an event that nobody hears costs one property read.
 */
export interface EventChannel<Payload extends object> {
  readonly name: string
  readonly active: boolean
  publish(payload: Payload): void
}

export function eventChannel<Payload extends object>(name: `holdfast:${string}`): EventChannel<Payload> {
  const inner = channel(name)
  return {
    name,
    get active() {
      return inner.hasSubscribers
    },
    publish: (payload) => inner.publish(payload),
  }
}
