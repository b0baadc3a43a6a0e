import { RedisReplyError } from '../base/errors.ts'
import { TickBatch } from '../base/tick-batch.ts'
import type { Reply } from '../redis/link.ts'
import type { RedisNode, RedisPort } from '../redis/port.ts'
import { CHECK } from './check-script.ts'
import { FastLane } from './fast-lane.ts'
import { NOT_MINE } from './fast-script.ts'
import type { LimitReading, LimitStore, Operation, Outcome, Verb } from './store.ts'

const VERBS: Record<Verb, number> = { consume: 1, peek: 2, refund: 3, penalty: 4, block: 5, reset: 6 }
/** One call of the script must stay short: about 2 ms on the server. */
const MAX_BATCH = 256
/** An abandoned check that the server still reads within this time counts; later ones are refused. */
const LATE_MS = 250

const stores = new WeakMap<RedisPort, Map<string, RedisLimitStore>>()

/** One for all limiters of a namespace on one Redis, so that the checks of all of them travel together. */
export function redisLimitStore(redis: RedisPort, channel: string): RedisLimitStore {
  const known = stores.get(redis) ?? new Map<string, RedisLimitStore>()
  stores.set(redis, known)
  const store = known.get(channel) ?? new RedisLimitStore(redis, channel)
  known.set(channel, store)
  return store
}

/**
 * Counters in Redis. The checks of one tick travel as one EVALSHA: on a single server all of them,
 * in Cluster those of one slot, since a script may not touch two.
 */
class RedisLimitStore implements LimitStore {
  readonly shared = true
  readonly #redis: RedisPort
  readonly #channel: string
  readonly #fast = new FastLane()
  readonly #batches = new Map<string, TickBatch<Operation, Outcome>>()

  constructor(redis: RedisPort, channel: string) {
    this.#redis = redis
    this.#channel = channel
  }

  async apply(operation: Operation): Promise<Outcome> {
    if (
      this.#redis.topology === 'cluster' &&
      operation.parts.some((part) => part.tag !== operation.parts[0]!.tag)
    ) {
      return this.#scattered(operation)
    }
    return this.#together(operation)
  }

  onRelief(listener: (key: string | undefined) => void): () => void {
    const redis = this.#redis
    let stops: (() => void)[] = []
    const listen = () => {
      for (const stop of stops) stop()
      stops = redis.nodes().map((node) =>
        node.bus.subscribe([this.#channel], {
          message: (key) => listener(key),
          gap: () => listener(undefined),
          open: () => listener(undefined),
        }),
      )
      listener(undefined)
    }
    listen()
    const stopWatching = redis.onTopology(listen)
    return () => {
      stopWatching()
      for (const stop of stops) stop()
    }
  }

  /** Whether relief by others would be heard. */
  get hearsRelief(): boolean {
    return this.#redis.nodes().every((node) => node.bus.isOpen)
  }

  #together(operation: Operation): Promise<Outcome> {
    const cluster = this.#redis.topology === 'cluster'
    const first = operation.parts[0]!
    const group = cluster ? `${operation.deadline} ${first.tag}` : String(operation.deadline)
    let batch = this.#batches.get(group)
    if (!batch) {
      batch = new TickBatch(this.#redis.clock, MAX_BATCH, (operations: readonly Operation[]) => {
        if (cluster) this.#batches.delete(group)
        return this.#send(this.#redis.nodeFor(first.key), operations)
      })
      this.#batches.set(group, batch)
    }
    return batch.add(operation)
  }

  /** Subjects in several slots: each decides alone; where one refuses, the others give back. */
  async #scattered(operation: Operation): Promise<Outcome> {
    const byTag = new Map<string, Operation['parts'][number][]>()
    for (const part of operation.parts) byTag.set(part.tag, [...(byTag.get(part.tag) ?? []), part])
    const groups = [...byTag.values()]
    const settled = await Promise.allSettled(groups.map((parts) => this.#together({ ...operation, parts })))
    const refused = settled.some((one) => one.status === 'rejected' || !one.value.allowed)
    let outcomes = settled
    if (operation.verb === 'consume' && refused) {
      const back = settled.map((one, index) =>
        one.status === 'fulfilled' && one.value.allowed
          ? this.#together({ ...operation, verb: 'refund', parts: groups[index]!, at: one.value.at })
          : Promise.resolve(undefined),
      )
      const returned = await Promise.allSettled(back)
      outcomes = settled.map((one, index) => {
        const after = returned[index]!
        return after.status === 'fulfilled' && after.value ? { status: 'fulfilled', value: after.value } : one
      })
    }
    const states = new Map<string, readonly LimitReading[]>()
    let blocked = false
    let at = 0
    outcomes.forEach((one, index) => {
      if (one.status === 'rejected') throw one.reason
      blocked ||= one.value.blocked
      at = Math.max(at, one.value.at)
      let from = 0
      for (const part of groups[index]!) {
        states.set(part.key, one.value.states.slice(from, from + part.policy.limits.length))
        from += part.policy.limits.length
      }
    })
    const flat = operation.parts.flatMap((part) => states.get(part.key)!)
    return { allowed: !refused, blocked, atomic: false, at, states: flat }
  }

  async #send(node: RedisNode, operations: readonly Operation[]): Promise<readonly Outcome[]> {
    let deadline = 0
    for (const operation of operations) deadline = Math.max(deadline, operation.deadline)
    const { clock } = this.#redis
    const end = clock.mono() + deadline
    // At the start of a process: the first calls wait for the first connection, within their deadline.
    if (node.state === 'connecting') await this.#redis.ready(deadline).catch(() => undefined)
    const left = () => Math.max(1, end - clock.mono())
    const outcomes = await this.#sendFast(node, operations, left())
    if (!outcomes) return this.#sendAny(node, operations, left())
    const rest = operations.filter((_, index) => outcomes[index] === undefined)
    if (rest.length === 0) return outcomes as readonly Outcome[]
    this.#fast.suspend(rest[0]!.parts[0]!.policy)
    const judged = (await this.#sendAny(node, rest, left())).values()
    return outcomes.map((outcome) => outcome ?? judged.next().value!)
  }

  /** Undefined, and nothing sent, for a batch that it is not made for; an item undefined = not judged. */
  async #sendFast(
    node: RedisNode,
    operations: readonly Operation[],
    deadline: number,
  ): Promise<readonly (Outcome | undefined)[] | undefined> {
    const policy = this.#fast.policyOf(operations)
    const keys = policy && new Set(operations.map((operation) => operation.parts[0]!.key))
    if (keys?.size !== operations.length) return undefined
    const { script, head, numbers } = policy!
    const args = [late(node, deadline), head, String(operations[0]!.cost), ...numbers]
    const reply = await node.eval(script, [...keys], args, { deadline, as: 'bytes' })
    return readReply(reply, operations)
  }

  async #sendAny(
    node: RedisNode,
    operations: readonly Operation[],
    deadline: number,
  ): Promise<readonly Outcome[]> {
    const keys = new Map<string, number>()
    const policies = new Map<string, number>()
    const flat: number[] = []
    for (const operation of operations) {
      flat.push(VERBS[operation.verb], operation.cost, operation.at, operation.parts.length)
      for (const { key, policy } of operation.parts) {
        flat.push(indexOf(keys, key), indexOf(policies, policy.wire))
      }
    }
    const args = [late(node, deadline), `[${[...policies.keys()].join()}]`, doubles(flat), this.#channel]
    const reply = await node.eval(CHECK, [...keys.keys()], args, { deadline, as: 'bytes' })
    // Nothing is left open by this script.
    return readReply(reply, operations) as readonly Outcome[]
  }
}

const late = (node: RedisNode, deadline: number): string =>
  String(Math.ceil(node.serverNow() + deadline + LATE_MS))

function doubles(values: ArrayLike<number>): Buffer {
  const packed = Buffer.allocUnsafe(values.length * 8)
  const view = new DataView(packed.buffer, packed.byteOffset)
  for (let i = 0; i < values.length; i++) view.setFloat64(i * 8, values[i]!, true)
  return packed
}

function indexOf(known: Map<string, number>, name: string): number {
  const index = known.get(name)
  if (index !== undefined) return index
  known.set(name, known.size + 1)
  return known.size
}

function readReply(reply: Reply, operations: readonly Operation[]): (Outcome | undefined)[] {
  if (!Buffer.isBuffer(reply)) throw new RedisReplyError('ERR the limit script gave no bytes')
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length)
  let offset = 0
  const next = () => {
    const value = view.getFloat64(offset, true)
    offset += 8
    return value
  }
  const at = next()
  return operations.map((operation) => {
    const status = next()
    const states: LimitReading[] = []
    for (const part of operation.parts) {
      for (let left = part.policy.limits.length; left > 0; left--) {
        const remaining = next()
        const wait = next()
        states.push({ remaining, refused: wait < 0, wait: wait < 0 ? -1 - wait : wait, reset: next() })
      }
    }
    if (status === NOT_MINE) return undefined
    return { allowed: status === 0, blocked: status === 2, atomic: true, at, states }
  })
}
