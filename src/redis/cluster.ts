import { type Clock, sleep } from '../base/clock.ts'
import { Closed, ConfigError, RedisUnavailable } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { AbsentNode, noOwner } from './absent-node.ts'
import { formatAddress, parseAddress } from './address.ts'
import { needsCommand } from './dial-error.ts'
import { tell } from './events.ts'
import type { Dialer, Reply, Target } from './link.ts'
import { type NodeOwner, SupervisedNode } from './node.ts'
import { dialWithin } from './open-session.ts'
import type { RedisHealth, RedisNode, RedisPort } from './port.ts'
import { Session } from './session.ts'
import type { RedisSettings } from './settings.ts'
import { SLOTS, slotOf } from './slot.ts'
import { mastersOf, readSlots, type SlotRange } from './slot-map.ts'

/** Masters by slot. The map is looked at again when anything casts doubt on it. */
export class ClusterPort implements RedisPort {
  readonly topology = 'cluster' as const
  readonly label: string
  readonly clock: Clock
  readonly random: Random
  #dialer: Dialer
  #settings: RedisSettings
  #owners: (SupervisedNode | undefined)[] = new Array(SLOTS).fill(undefined)
  #nodes = new Map<string, SupervisedNode>()
  #absent: AbsentNode
  #listeners = new Set<() => void>()
  #lastError: Error | undefined
  #refreshing: Promise<void> | undefined
  /** A doubt arose while a look was under way: look once more. */
  #again = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #hasMap = false
  #closing = new AbortController()

  constructor(dialer: Dialer, settings: RedisSettings) {
    this.#dialer = dialer
    this.#settings = settings
    this.label = dialer.label
    this.clock = settings.clock
    this.random = settings.random
    this.#absent = new AbsentNode(this.clock, () =>
      this.#closing.signal.aborted ? new Closed() : noOwner(this.label, this.#lastError),
    )
    this.#refresh()
  }

  nodeFor(key: string): RedisNode {
    return this.#owners[slotOf(key)] ?? this.#absent
  }

  nodes(): readonly SupervisedNode[] {
    return [...this.#nodes.values()]
  }

  async ready(ms: number): Promise<void> {
    const until = this.clock.mono() + ms
    while (!this.#hasMap || this.nodes().some((node) => node.state !== 'ready')) {
      if (this.#closing.signal.aborted) throw new Closed()
      const unready = this.nodes().find((node) => node.state !== 'ready')
      const cause = unready?.lastError ?? this.#lastError
      if (cause instanceof ConfigError) throw cause
      if (this.clock.mono() >= until)
        throw cause ?? new RedisUnavailable(`${this.label} was not ready within ${ms} ms`)
      await sleep(this.clock, 10)
    }
  }

  onTopology(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  health(): RedisHealth {
    return { topology: this.topology, label: this.label, nodes: this.nodes().map((node) => node.health()) }
  }

  async close(): Promise<void> {
    const closed = new Closed()
    this.#closing.abort(closed)
    this.#owners.fill(undefined)
    for (const node of this.#nodes.values()) node.close(closed)
    this.#nodes.clear()
    await this.#refreshing
  }

  #owner: NodeOwner = {
    doubt: () => this.#refresh(),
    event: (name, node, cause) => tell(name, node.address, cause),
  }

  #refresh(): void {
    if (this.#closing.signal.aborted) return
    if (this.#refreshing) {
      this.#again = true
      return
    }
    this.#refreshing = this.#look().finally(() => {
      this.#refreshing = undefined
      if (this.#again || !this.#hasMap) this.#refresh()
    })
  }

  async #look(): Promise<void> {
    this.#again = false
    const { topologyGapMs } = this.#settings
    const wait = this.#lookedAt + topologyGapMs * (0.75 + this.random.float() / 2) - this.clock.mono()
    try {
      if (wait > 0) await sleep(this.clock, wait, this.#closing.signal)
      this.#lookedAt = this.clock.mono()
      this.#adopt(await this.#ask())
      this.#lastError = undefined
    } catch (error) {
      this.#lastError = error as Error
    }
  }

  /** Asks a node that is ready, else any that can be dialled. */
  async #ask(): Promise<SlotRange[]> {
    const { handshakeMs } = this.#settings
    const ready = this.nodes().filter((node) => node.state === 'ready')
    const command = ['CLUSTER', 'SLOTS']
    let turn = Math.floor(this.random.float() * ready.length)
    for (let i = 0; i < ready.length; i++) {
      const node = ready[turn++ % ready.length]!
      try {
        return this.#read(await node.send(command, { deadline: handshakeMs }), node.address)
      } catch {
        // The next one may know.
      }
    }
    const link = await dialWithin(this.#dialer, undefined, this.#settings, this.#closing.signal)
    const session = new Session(link, this.#settings, { lost() {}, timeout() {}, refused() {} })
    try {
      return this.#read(await session.send(command, { deadline: handshakeMs }), link.address)
    } catch (error) {
      if (/cluster support disabled/i.test((error as Error).message)) {
        throw new ConfigError(
          `${link.address} is no cluster node`,
          'give its URL as redis, not as redis.cluster',
        )
      }
      throw needsCommand(error, link.address, '+cluster|slots')
    } finally {
      session.end(new Closed('the map was read'))
    }
  }

  #read(reply: Reply, address: string): SlotRange[] {
    const asked = parseAddress(address)
    const ranges = asked ? readSlots(reply, asked) : []
    if (ranges.length > 0) return ranges
    throw new RedisUnavailable(`${address} knows no slot of the cluster yet`)
  }

  #adopt(ranges: readonly SlotRange[]): void {
    if (this.#closing.signal.aborted) return
    const masters = mastersOf(ranges)
    let changed = !this.#hasMap
    this.#hasMap = true
    const gone: SupervisedNode[] = []
    for (const [address, node] of this.#nodes) {
      if (masters.has(address)) continue
      this.#nodes.delete(address)
      gone.push(node)
    }
    const owners: (SupervisedNode | undefined)[] = new Array(SLOTS).fill(undefined)
    for (const { from, to, master } of ranges) {
      owners.fill(this.#nodeAt(master), from, to + 1)
    }
    for (let slot = 0; slot < SLOTS && !changed; slot++) changed = owners[slot] !== this.#owners[slot]
    this.#owners = owners
    for (const node of gone)
      node.close(new RedisUnavailable(`${node.address} is no master of the cluster any more`))
    if (!changed && gone.length === 0) return
    tell('topology', this.label)
    for (const listener of [...this.#listeners]) listener()
  }

  #nodeAt(master: Target): SupervisedNode {
    const address = formatAddress(master.host, master.port)
    const there = this.#nodes.get(address)
    if (there) return there
    const node = new SupervisedNode(this.#dialer, master, this.#settings, this.#owner)
    this.#nodes.set(address, node)
    return node
  }
}
