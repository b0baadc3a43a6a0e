import type { Clock } from '../base/clock.ts'
import type { RedisPort } from '../redis/port.ts'
import { PERMIT } from './permit-script.ts'

/** The port to the place where permits are kept. */
export interface PermitStore {
  acquire(key: string, permit: string, limit: number, leaseMs: number): Promise<PermitReply>
  /** False = the lease had ended. */
  renew(key: string, permit: string, leaseMs: number): Promise<boolean>
  /** False = it was not held any more. */
  release(key: string, permit: string): Promise<boolean>
  count(key: string): Promise<number>
}

export interface PermitReply {
  readonly granted: boolean
  readonly inUse: number
  /** ms until a permit ends by itself, unless it is renewed. */
  readonly firstEndsIn: number
}

/** An abandoned call that the server still reads within this time counts. */
const LATE_MS = 250

export class RedisPermitStore implements PermitStore {
  readonly #redis: RedisPort
  readonly #deadline: number

  constructor(redis: RedisPort, deadline: number) {
    this.#redis = redis
    this.#deadline = deadline
  }

  async acquire(key: string, permit: string, limit: number, leaseMs: number): Promise<PermitReply> {
    const [granted, inUse, firstEndsIn] = await this.#run(key, 'acquire', limit, permit, leaseMs)
    return { granted: granted === 1, inUse, firstEndsIn }
  }

  async renew(key: string, permit: string, leaseMs: number): Promise<boolean> {
    return (await this.#run(key, 'renew', 0, permit, leaseMs))[0] === 1
  }

  async release(key: string, permit: string): Promise<boolean> {
    return (await this.#run(key, 'release', 0, permit, 0))[0] === 1
  }

  async count(key: string): Promise<number> {
    return (await this.#run(key, 'count', 0, '', 0))[1]
  }

  async #run(key: string, verb: string, limit: number, permit: string, lease: number) {
    const node = this.#redis.nodeFor(key)
    const started = this.#redis.clock.mono()
    // At the start of a process: the first calls wait for the first connection, within their deadline.
    if (node.state === 'connecting') await this.#redis.ready(this.#deadline).catch(() => undefined)
    const deadline = Math.max(1, this.#deadline - (this.#redis.clock.mono() - started))
    // Giving back late is always right; taking late is not.
    const late = verb === 'acquire' ? String(Math.ceil(node.serverNow() + deadline + LATE_MS)) : '0'
    const args = [late, verb, String(limit), permit, String(lease)]
    return (await node.eval(PERMIT, [key], args, { deadline })) as [number, number, number]
  }
}

/** Permits of one process. */
export class MemoryPermitStore implements PermitStore {
  readonly #clock: Clock
  readonly #held = new Map<string, Map<string, number>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async acquire(key: string, permit: string, limit: number, leaseMs: number): Promise<PermitReply> {
    const held = this.#living(key)
    const granted = held.has(permit) || held.size < limit
    if (granted) held.set(permit, this.#clock.mono() + leaseMs)
    if (held.size > 0) this.#held.set(key, held)
    const first = Math.min(...held.values())
    return {
      granted,
      inUse: held.size,
      firstEndsIn: held.size > 0 ? Math.ceil(first - this.#clock.mono()) : 0,
    }
  }

  async renew(key: string, permit: string, leaseMs: number): Promise<boolean> {
    const held = this.#living(key)
    if (!held.has(permit)) return false
    held.set(permit, this.#clock.mono() + leaseMs)
    return true
  }

  async release(key: string, permit: string): Promise<boolean> {
    const held = this.#living(key)
    const was = held.delete(permit)
    if (held.size === 0) this.#held.delete(key)
    return was
  }

  async count(key: string): Promise<number> {
    return this.#living(key).size
  }

  #living(key: string): Map<string, number> {
    const held = this.#held.get(key) ?? new Map<string, number>()
    for (const [permit, ends] of held) if (ends <= this.#clock.mono()) held.delete(permit)
    if (held.size === 0) this.#held.delete(key)
    return held
  }
}
