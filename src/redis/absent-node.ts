import type { Clock } from '../base/clock.ts'
import { RedisUnavailable } from '../base/errors.ts'
import type { NodeBus, RedisNode } from './port.ts'

/** Stands in for the owner of a slot that nobody is known to own: every call is refused at once. */
export class AbsentNode implements RedisNode {
  readonly address = 'unknown'
  readonly state = 'down'
  readonly generation = 0
  readonly incarnation = ''
  readonly bus: NodeBus
  #clock: Clock
  #why: () => Error

  constructor(clock: Clock, why: () => Error) {
    this.#clock = clock
    this.#why = why
    this.bus = { isOpen: false, subscribe: () => () => {}, ping: () => Promise.reject(why()) }
  }

  serverNow(): number {
    return this.#clock.wall()
  }

  send(): Promise<never> {
    return Promise.reject(this.#why())
  }

  eval(): Promise<never> {
    return Promise.reject(this.#why())
  }

  attach(): () => void {
    return () => {}
  }
}

export const noOwner = (label: string, cause: Error | undefined): RedisUnavailable =>
  new RedisUnavailable(`no node of ${label} is known to own this key${cause ? ` (${cause.message})` : ''}`)
