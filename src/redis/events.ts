import { eventChannel } from '../base/events.ts'

/** What goes out on `holdfast:redis:<event>`. Never a key, a value or a credential. */
export interface RedisEvent {
  /** `host:port`, or what is dialled while that is not known. */
  readonly address: string
  /** Why, in one line. */
  readonly cause: string | undefined
}

/** For those who hear them. */
export const redisEvents = {
  /** A connection proved itself and is open for traffic. */
  ready: eventChannel<RedisEvent>('holdfast:redis:ready'),
  /** A connection that was open is gone. */
  lost: eventChannel<RedisEvent>('holdfast:redis:lost'),
  /** An attempt to connect failed. */
  refused: eventChannel<RedisEvent>('holdfast:redis:refused'),
  /** A call was let go at its deadline. */
  timeout: eventChannel<RedisEvent>('holdfast:redis:timeout'),
  /** The push connection is gone: messages may have been missed. */
  gap: eventChannel<RedisEvent>('holdfast:redis:gap'),
  /** The push connection is open. */
  open: eventChannel<RedisEvent>('holdfast:redis:open'),
  /** Slots moved, or masters came or went. */
  topology: eventChannel<RedisEvent>('holdfast:redis:topology'),
}

export type RedisEventName = keyof typeof redisEvents

export function tell(name: RedisEventName, address: string, cause?: Error): void {
  const channel = redisEvents[name]
  if (channel.active) channel.publish({ address, cause: cause?.message })
}
