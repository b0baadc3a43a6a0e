import { channel } from 'node:diagnostics_channel'

/** What goes out on `holdfast:redis:<event>`. Never a key, a value or a credential. */
export interface RedisEventPayload {
  readonly address: string
  readonly cause: string | undefined
}

const channels = {
  ready: channel('holdfast:redis:ready'),
  lost: channel('holdfast:redis:lost'),
  refused: channel('holdfast:redis:refused'),
  timeout: channel('holdfast:redis:timeout'),
  gap: channel('holdfast:redis:gap'),
  'bus-open': channel('holdfast:redis:bus-open'),
}

export function publish(name: keyof typeof channels, address: string, cause?: Error): void {
  const target = channels[name]
  if (target.hasSubscribers) target.publish({ address, cause: cause?.message } satisfies RedisEventPayload)
}
