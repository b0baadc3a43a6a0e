import { ConfigError } from '../../base/errors.ts'
import { BullmqClient } from '../../redis/bullmq-client.ts'
import { firstConnection } from '../../redis/first-connection.ts'
import type { Reply } from '../../redis/link.ts'
import type { RedisNode, RedisPort } from '../../redis/port.ts'
import type { BackendStats, Letter, Parcel, PartitionLease, QueueBackend } from '../backend.ts'
import { QueueMismatch, QueueUnavailable } from '../errors.ts'
import type { Durability } from '../options.ts'
import { type Barrier, barrierFor } from './durability.ts'
import { type QueuePlace, queuePlace } from './layout.ts'
import { BullLease } from './lease.ts'
import { BullLetters } from './letters.ts'
import { type BullStore, loadBullmq } from './library.ts'
import { ACQUIRE, ADDED, BEAT, LOOK } from './scripts.ts'
import { uncertain, verdictOf } from './verdicts.ts'
import { Wakes } from './wakes.ts'

export interface BullmqSetup {
  readonly port: RedisPort
  /** For the adds alone where their durability makes the connection wait; the same port elsewhere. */
  readonly adds: RedisPort
  readonly openBlocking: () => RedisPort
  readonly namespace: string
  readonly queue: string
  readonly partitions: number
  readonly durability: Durability
  readonly replicas: number
  readonly deadline: number
  readonly takeover: number
  readonly dedupe: number
}

/** Entries that BullMQ keeps in the event stream of each partition. */
const MAX_EVENTS = 1_000

/** Parcels as jobs of BullMQ, one of its queues per partition. */
export class BullmqBackend implements QueueBackend {
  readonly kind = 'bullmq'
  readonly #setup: BullmqSetup
  readonly #place: QueuePlace
  readonly #self: string
  readonly #wakes: Wakes
  readonly #leases = new Set<BullLease>()
  #opening: Promise<Opened> | undefined
  #opened: Opened | undefined

  constructor(setup: BullmqSetup) {
    this.#setup = setup
    this.#place = queuePlace(setup.namespace, setup.queue, setup.partitions)
    this.#self = setup.port.random.id()
    this.#wakes = new Wakes(setup.port, this.#place.wake)
  }

  async open(): Promise<void> {
    if (this.#opened) return
    this.#opening ??= this.#open()
    try {
      this.#opened = await this.#opening
    } catch (error) {
      this.#opening = undefined
      if (error instanceof ConfigError || error instanceof QueueMismatch) throw error
      throw new QueueUnavailable('the queue could not be opened', { cause: error })
    }
  }

  async put(parcels: readonly Parcel[]): Promise<readonly (Error | undefined)[]> {
    const { adding, barrier } = this.#ready()
    const { adds } = this.#setup
    const counts = new Map<number, number>()
    const sent = parcels.map((parcel) => {
      const { partition, text, count, at } = parcel
      counts.set(partition, (counts.get(partition) ?? 0) + count)
      const job = { name: `${count} messages`, data: text, opts: {}, timestamp: at }
      return adding[partition]!.addJob(job, '')
    })
    const verdicts = sent.map((it) => it.then(() => undefined, verdictOf))
    // One turn of microtasks behind the adds, which BullMQ sends only then.
    await Promise.resolve().then(() => undefined)
    // WAIT and WAITAOF speak of what came over their own connection: a new one would vouch for nothing.
    const nodes = new Map<RedisNode, number>()
    const told = new Map<RedisNode, [partition: number, count: number][]>()
    for (const entry of counts) {
      const node = adds.nodeFor(this.#place.partitions[entry[0]]!.count)
      nodes.set(node, node.generation)
      told.set(node, [...(told.get(node) ?? []), entry])
    }
    for (const [node, entries] of told) this.#tell(node, entries)
    if (!barrier) return Promise.all(verdicts)
    await Promise.all(verdicts)
    const held = new Map<RedisNode, Error | undefined>()
    await Promise.all(
      [...nodes].map(async ([node, generation]) => {
        const verdict = await barrier(node).then(() => undefined, uncertain)
        const isSame = node.generation === generation
        held.set(
          node,
          verdict ?? (isSame ? undefined : uncertain(new Error('the connection was lost meanwhile'))),
        )
      }),
    )
    return (await Promise.all(verdicts)).map((verdict, i) => {
      const node = adds.nodeFor(this.#place.partitions[parcels[i]!.partition]!.count)
      return verdict ?? held.get(node)
    })
  }

  #tell(node: RedisNode, entries: readonly [partition: number, count: number][]): void {
    const { adds, deadline } = this.#setup
    // In a Cluster the keys of two partitions hardly ever share a slot.
    const groups = adds.topology === 'cluster' ? entries.map((entry) => [entry]) : [entries]
    for (const group of groups) {
      const keys = group.map(([partition]) => this.#place.partitions[partition]!.count)
      const partitions = group.map(([partition]) => partition).join(',')
      const words = [this.#place.wake, partitions, ...group.map(([, count]) => String(count))]
      node.eval(ADDED, keys, words, { deadline }).catch(ignore)
    }
  }

  async lease(partition: number): Promise<PartitionLease | undefined> {
    const { working } = this.#ready()
    const { port, takeover, deadline, dedupe } = this.#setup
    const place = this.#place.partitions[partition]!
    const token = port.random.id()
    const since = port.clock.mono()
    const args = [token, String(takeover)]
    const fence = await port
      .nodeFor(place.lease)
      .eval(ACQUIRE, [place.lease, place.fence], args, { deadline })
    if (fence === 0) return undefined
    const lease: BullLease = new BullLease({
      port,
      store: working[partition]!,
      place,
      token,
      fence: Number(fence),
      ttl: takeover,
      since,
      deadline,
      dedupe,
      ended: () => this.#leases.delete(lease),
    })
    this.#leases.add(lease)
    return lease
  }

  async beat(): Promise<number> {
    const { port, deadline, takeover } = this.#setup
    const key = this.#place.workers
    const args = [this.#self, String(Math.max(takeover, 3_000))]
    return Number(await port.nodeFor(key).eval(BEAT, [key], args, { deadline }))
  }

  wait(partitions: readonly number[], ms: number, signal: AbortSignal): Promise<void> {
    return this.#wakes.wait(partitions, ms, signal)
  }

  bury(letters: readonly Letter[]): Promise<void> {
    return this.#ready().letters.bury(letters)
  }

  letters(offset: number, count: number): Promise<readonly Letter[]> {
    return this.#ready().letters.list(offset, count)
  }

  letter(id: string): Promise<Letter | undefined> {
    return this.#ready().letters.get(id)
  }

  unbury(ids: readonly string[]): Promise<readonly boolean[]> {
    return this.#ready().letters.remove(ids)
  }

  async pause(): Promise<void> {
    await Promise.all(this.#ready().working.map((store) => store.pause(true)))
  }

  async resume(): Promise<void> {
    await Promise.all(this.#ready().working.map((store) => store.pause(false)))
    this.#wakes.tell(
      this.#place.partitions.map((place) => place.index),
      this.#setup.port,
      this.#setup.deadline,
    )
  }

  async stats(): Promise<BackendStats> {
    const { letters } = this.#ready()
    const { port, deadline } = this.#setup
    const { workers, partitions } = this.#place
    const [dead, live, ...looks] = await Promise.all([
      letters.count(),
      port.nodeFor(workers).send(['ZCARD', workers], { deadline }),
      ...partitions.map(({ wait, active, count, meta, jobs }) =>
        port.nodeFor(wait).eval(LOOK, [wait, active, count, meta], [jobs], { deadline }),
      ),
    ])
    let depth = 0
    let oldestAt: number | undefined
    let paused = 0
    for (const look of looks as Reply[][]) {
      depth += Number(look[1])
      if (look[2]) oldestAt = Math.min(oldestAt ?? Number.POSITIVE_INFINITY, Number(look[2]))
      paused += Number(look[3])
    }
    return { depth, oldestAt, dead, paused: paused > 0, workers: Number(live) }
  }

  async drop(): Promise<number> {
    const before = await this.stats()
    await Promise.all(this.#ready().working.map((store) => store.drain(false)))
    return before.depth - (await this.stats()).depth
  }

  async close(): Promise<void> {
    const { port, deadline } = this.#setup
    const { workers } = this.#place
    this.#wakes.close()
    await Promise.allSettled([...this.#leases].map((lease) => lease.release()))
    // Who is still counted leaves partitions to nobody until he is given up for dead.
    if (this.#opened) {
      await Promise.allSettled([port.nodeFor(workers).send(['ZREM', workers, this.#self], { deadline })])
    }
    const opened = await this.#opening?.catch(() => undefined)
    // They share our port, which stays open: only their listeners go.
    await Promise.allSettled(opened?.roots.map((root) => root.close()) ?? [])
    // Opened for this queue alone.
    if (this.#setup.adds !== port) await this.#setup.adds.close()
  }

  #ready(): Opened {
    if (this.#opened) return this.#opened
    throw new QueueUnavailable('the queue is not open')
  }

  async #open(): Promise<Opened> {
    const { port, adds, deadline, partitions, durability, replicas, openBlocking } = this.#setup
    const library = await loadBullmq()
    // The start of a program is busy with itself: that is not the server's silence.
    await Promise.all([firstConnection(port), firstConnection(adds)])
    await Promise.all([port.ready(deadline), adds.ready(deadline)])
    await this.#agree(partitions)
    const barrier = await barrierFor(adds, durability, replicas, deadline)
    const root = (through: RedisPort): BullStore => {
      const connection = new BullmqClient({ port: through, openBlocking, deadline, patience: 0 })
      const { name, dead } = this.#place
      const store = library.createRedisBackend(name, {
        connection,
        prefix: dead.prefix,
        skipVersionCheck: true,
      })
      store.on('error', ignore)
      return store
    }
    const roots = port === adds ? [root(port)] : [root(port), root(adds)]
    const [main] = roots as [BullStore, ...BullStore[]]
    await Promise.all(roots.map((it) => it.waitUntilReady()))
    const stores = (of: BullStore): BullStore[] =>
      this.#place.partitions.map(({ name, prefix }) => of.forQueue(name, prefix))
    const working = stores(main)
    const letters = main.forQueue(this.#place.dead.name, this.#place.dead.prefix)
    // What BullMQ's own Queue writes when it is made: its tools look for it.
    const meta = { 'opts.maxLenEvents': MAX_EVENTS, version: 'bullmq:6' }
    await Promise.all([...working, letters].map((store) => store.setQueueMeta(meta)))
    const adding = roots[1] ? stores(roots[1]) : working
    return { roots, working, adding, letters: new BullLetters(letters), barrier }
  }

  /** The number of partitions is part of where each key's messages are: it cannot change. */
  async #agree(partitions: number): Promise<void> {
    const { port, deadline, queue } = this.#setup
    const { about } = this.#place
    const node = port.nodeFor(about)
    await node.send(['HSETNX', about, 'partitions', String(partitions)], { deadline })
    const fixed = Number(await node.send(['HGET', about, 'partitions'], { deadline }))
    if (fixed === partitions) return
    throw new QueueMismatch(
      `the queue '${queue}' has ${fixed} partitions in Redis, here it says ${partitions}`,
      `write partitions: ${fixed}, or use a new name`,
    )
  }
}

interface Opened {
  readonly roots: readonly BullStore[]
  readonly working: readonly BullStore[]
  readonly adding: readonly BullStore[]
  readonly letters: BullLetters
  readonly barrier: Barrier
}

function ignore(): void {}
