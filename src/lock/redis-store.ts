import type { Clock } from '../base/clock.ts'
import { RedisReplyError } from '../base/errors.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { firstConnection } from '../redis/first-connection.ts'
import type { Reply } from '../redis/link.ts'
import { scanNodes } from '../redis/name-scan.ts'
import type { RedisNode, RedisPort } from '../redis/port.ts'
import { holderName } from './holder.ts'
import { CLAIM, EVICT, RAISE, RELEASE, RENEW } from './scripts.ts'
import type {
  Claimant,
  ClaimOptions,
  ClaimReply,
  Ear,
  ListableLockStore,
  LockState,
  Mode,
  RenewReply,
  Target,
} from './store.ts'

/** For one step of a scan. */
const SCAN_MS = 2_000

/** Locks in Redis: one script per step, each on one slot, by the server's clock. */
export class RedisLockStore implements ListableLockStore {
  readonly shared = true
  readonly clock: Clock
  readonly random: Random
  #port: RedisPort
  #prefix: string
  #lines = new Map<RedisNode, Line>()
  #channel: string
  #self: string
  #owners = 0

  /** @param namespace encoded */
  constructor(port: RedisPort, namespace: string) {
    this.#port = port
    this.clock = port.clock
    this.random = port.random
    this.#prefix = `hf:${namespace}:`
    this.#self = `${port.random.id()}.`
    this.#channel = `${this.#prefix}wake:${port.random.id()}`
  }

  opening(): Promise<void> | undefined {
    return firstConnection(this.#port)
  }

  newOwner(): string {
    return this.#self + (this.#owners++).toString(36)
  }

  async claim(claimant: Claimant, options: ClaimOptions): Promise<ClaimReply> {
    const { keys, node } = this.#place(claimant.target)
    const reply = await node.eval(
      CLAIM,
      keys,
      [
        due(node, options.deadline),
        member(claimant),
        String(claimant.target.capacity),
        String(options.ttlMs),
        options.wait ? '1' : '0',
        options.ticket,
        this.#lines.get(node)?.ready ? this.#channel : '',
      ],
      { deadline: options.deadline },
    )
    const [won, a, b, c] = reply as [number, string, number, number]
    if (won) return { state: 'held', fence: Number(a) }
    return { state: 'queued', ticket: a, rank: b, leaseMs: c }
  }

  async renew(claimant: Claimant, fence: number, ttlMs: number, deadline: number): Promise<RenewReply> {
    const { keys, node } = this.#place(claimant.target)
    const args = [due(node, deadline), member(claimant), String(ttlMs), String(fence)]
    try {
      const reply = await node.eval(RENEW, keys, args, { deadline })
      return reply === 1 ? 'held' : reply === 0 ? 'vanished' : 'stolen'
    } catch (error) {
      // Somebody wrote something else over the key: no answer will ever be better than this one.
      if (error instanceof RedisReplyError && error.message.includes('WRONGTYPE')) return 'stolen'
      throw error
    }
  }

  /** Makes `fence` the token of this holder, and the floor of those to come. False: it holds nothing. */
  async raise(claimant: Claimant, fence: number, deadline: number): Promise<boolean> {
    const { keys, node } = this.#place(claimant.target)
    const args = [due(node, deadline), member(claimant), String(fence)]
    return (await node.eval(RAISE, keys, args, { deadline })) === 1
  }

  async release(claimant: Claimant, deadline: number): Promise<boolean> {
    const { keys, node } = this.#place(claimant.target)
    const args = [member(claimant), String(claimant.target.capacity)]
    return (await node.eval(RELEASE, keys, args, { deadline })) === 1
  }

  listen(claimant: Claimant, wake: () => void): Ear {
    const name = member(claimant)
    const joined = new Set<Line>()
    // Asked for each time: after a move of the slot another node is the one to listen to.
    const line = (): Line => {
      const { node } = this.#place(claimant.target)
      let found = this.#lines.get(node)
      if (!found) {
        found = new Line(node, this.#channel)
        this.#lines.set(node, found)
      }
      if (!joined.has(found)) {
        joined.add(found)
        found.wakes.set(name, wake)
      }
      return found
    }
    line()
    return {
      get ready() {
        return line().ready
      },
      prepare: () => line().prepare(),
      close: () => {
        for (const found of joined) found.wakes.delete(name)
      },
    }
  }

  async inspect(target: Target, deadline: number): Promise<LockState> {
    const { keys, node } = this.#place(target)
    const [meta, holders, queue] = keys as [string, string, string]
    const [held, fields, waiting] = (await Promise.all([
      node.send(['ZRANGE', holders, '0', '-1', 'WITHSCORES'], { deadline }),
      node.send(['HGETALL', meta], { deadline }),
      node.send(['ZCARD', queue], { deadline }),
    ])) as [Reply, Reply, number]
    const notes = new Map(pairs(fields))
    const now = node.serverNow()
    return {
      waiting,
      holders: pairs(held)
        .filter(([, end]) => Number(end) > now)
        .map(([name, end]) => {
          const [fence, since] = (notes.get(`h:${name.slice(1)}`) ?? '0 0').split(' ')
          return {
            holder: holderName(name.slice(1)),
            fence: Number(fence),
            mode: name[0] as Mode,
            leaseMs: Math.round(Number(end) - now),
            heldMs: Math.round(now - Number(since)),
          }
        }),
    }
  }

  /** By the keys of holders and of queues: what they belong to outlives them by an hour. */
  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    const pick = (key: string): string | undefined => {
      const [, kind, id] =
        /^(lock|semaphore|rwlock):\{(.*)\}:[hq]$/.exec(key.slice(this.#prefix.length)) ?? []
      return kind && `${kind}:${id}`
    }
    return scanNodes(this.#port.nodes(), `${this.#prefix}*:{${glob}}:[hq]`, SCAN_MS, pick, from)
  }

  async evict(target: Target, deadline: number): Promise<number> {
    const { keys, node } = this.#place(target)
    return Number(await node.eval(EVICT, keys, [due(node, deadline)], { deadline }))
  }

  close(): void {
    for (const line of this.#lines.values()) line.close()
    this.#lines.clear()
  }

  #place(target: Target): { keys: readonly string[]; node: RedisNode } {
    const key = `${this.#prefix}${target.kind}:{${target.id}}`
    return { keys: [key, `${key}:h`, `${key}:q`, `${key}:a`], node: this.#port.nodeFor(key) }
  }
}

/** This process's push line from one node: one channel, whatever the number of locks. */
class Line {
  ready = false
  readonly wakes = new Map<string, () => void>()
  #node: RedisNode
  #channel: string
  #unsubscribe: (() => void) | undefined

  constructor(node: RedisNode, channel: string) {
    this.#node = node
    this.#channel = channel
  }

  /** `open` follows when the subscription is in force, `gap` when it is not any more. */
  prepare(): void {
    this.#unsubscribe ??= this.#node.bus.subscribe([this.#channel], {
      message: (name) => this.wakes.get(name)?.(),
      gap: () => {
        this.ready = false
      },
      open: () => {
        this.ready = true
        for (const wake of [...this.wakes.values()]) wake()
      },
    })
  }

  close(): void {
    this.ready = false
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }
}

const member = (claimant: Claimant): string => claimant.target.mode + claimant.owner

const due = (node: RedisNode, deadline: number): string => String(Math.floor(node.serverNow() + deadline))

/** A flat list, or the list of pairs that RESP3 makes of scores. */
function pairs(reply: Reply): [string, string][] {
  const out: [string, string][] = []
  const list = Array.isArray(reply) ? reply : []
  if (Array.isArray(list[0])) return list.map((pair) => (pair as Reply[]).map(String) as [string, string])
  for (let at = 0; at + 1 < list.length; at += 2) out.push([String(list[at]), String(list[at + 1])])
  return out
}
