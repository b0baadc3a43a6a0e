import type { Clock, Timer } from '../../base/clock.ts'
import { ConfigError } from '../../base/errors.ts'
import { encodePart } from '../../base/key.ts'
import type { Random } from '../../base/random.ts'
import type { BackendStats, Letter, Parcel, PartitionLease, QueueBackend } from '../backend.ts'
import { BullLetters } from '../bullmq/letters.ts'
import { QueueMismatch, QueueUnavailable } from '../errors.ts'
import { Sleepers } from '../sleepers.ts'
import { PostgresLease } from './lease.ts'
import { openStore, type PostgresConnection, type PostgresStore, verdictOf, within } from './store.ts'
import { ACQUIRE, BEAT, LOOK, NOW, TABLES, WAITING } from './tables.ts'

export interface PostgresSetup {
  readonly clock: Clock
  readonly random: Random
  readonly connection: PostgresConnection
  readonly namespace: string
  readonly queue: string
  readonly partitions: number
  readonly deadline: number
  readonly takeover: number
  readonly dedupe: number
}

interface Opened {
  readonly root: PostgresStore
  readonly stores: readonly PostgresStore[]
  readonly letters: BullLetters
}

/** How often sleeping workers look whether another process added something, ms. */
const POLL = 100

/**
 * Parcels as jobs of BullMQ 6 in PostgreSQL, for a promise that survives the loss of any Redis. Same
 * front, same order, same leases; every parcel that is added, taken or settled is a transaction, so it
 * is for some hundred parcels a second, not for thousands.
 */
export class PostgresBackend implements QueueBackend {
  readonly kind = 'bullmq'
  readonly #setup: PostgresSetup
  readonly #name: string
  readonly #names: readonly string[]
  readonly #self: string
  readonly #sleepers: Sleepers
  readonly #leases = new Set<PostgresLease>()
  #poll: Timer | undefined
  #opening: Promise<Opened> | undefined
  #opened: Opened | undefined

  constructor(setup: PostgresSetup) {
    const { clock, random, namespace, queue, partitions } = setup
    this.#setup = setup
    this.#name = `${encodePart(namespace, 'namespace')}.${encodePart(queue, 'queue name')}`
    this.#names = Array.from({ length: partitions }, (_, i) => `${this.#name}-${i}`)
    this.#self = random.id()
    this.#sleepers = new Sleepers(clock)
  }

  async open(): Promise<void> {
    if (this.#opened) return
    this.#opening ??= this.#open()
    try {
      this.#opened = await this.#opening
    } catch (error) {
      this.#opening = undefined
      if (error instanceof QueueMismatch || error instanceof ConfigError) throw error
      const mend = 'see the cause'
      throw new QueueUnavailable('the queue could not be opened in PostgreSQL', { cause: error, mend })
    }
  }

  async put(parcels: readonly Parcel[]): Promise<readonly (Error | undefined)[]> {
    const { stores } = this.#ready()
    const { clock, deadline } = this.#setup
    const byPartition = new Map<number, Parcel[]>()
    for (const parcel of parcels) {
      byPartition.set(parcel.partition, [...(byPartition.get(parcel.partition) ?? []), parcel])
    }
    const verdicts = new Map<Parcel, Error | undefined>()
    await Promise.all(
      [...byPartition].map(async ([partition, own]) => {
        const jobs = own.map(({ count, text, at }) => ({
          // As a string inside: the database changes what it takes for JSON of its own.
          job: { name: `${count} messages`, data: JSON.stringify({ parcel: text }), opts: {}, timestamp: at },
          jobId: '',
        }))
        // A commit is durable as the database is set up: synchronous_commit.
        const verdict = await within(clock, deadline, stores[partition]!.addJobs(jobs)).then(
          () => undefined,
          verdictOf,
        )
        for (const parcel of own) verdicts.set(parcel, verdict)
      }),
    )
    this.#sleepers.wake([...byPartition.keys()])
    return parcels.map((parcel) => verdicts.get(parcel))
  }

  async lease(partition: number): Promise<PartitionLease | undefined> {
    const { stores } = this.#ready()
    const { clock, random, takeover, dedupe } = this.#setup
    const name = this.#names[partition]!
    const token = random.id()
    const since = clock.mono()
    const { rows } = await this.#query(ACQUIRE, [name, token, takeover])
    const fence = Number(rows[0]?.fence ?? 0)
    if (fence === 0) return undefined
    const lease: PostgresLease = new PostgresLease({
      ...{ clock, store: stores[partition]!, name, partition, token, fence, since, dedupe, ttl: takeover },
      ended: () => this.#leases.delete(lease),
    })
    this.#leases.add(lease)
    return lease
  }

  async beat(): Promise<number> {
    const { takeover, dedupe } = this.#setup
    await this.#query(`DELETE FROM holdfast_done WHERE queue = ANY($1) AND at_ms < ${NOW} - $2`, [
      this.#names,
      dedupe * 2,
    ])
    const { rows } = await this.#query(BEAT, [this.#name, this.#self, Math.max(takeover, 3_000)])
    return Number(rows[0]?.n ?? 0) + 1
  }

  wait(partitions: readonly number[], ms: number, signal: AbortSignal): Promise<void> {
    this.#pollLater()
    return this.#sleepers.wait(partitions, ms, signal)
  }

  /** One look for all partitions whose workers sleep, as long as any does. */
  #pollLater(): void {
    this.#poll ??= this.#setup.clock.after(POLL, () => {
      const names = this.#sleepers.asleep.map((partition) => this.#names[partition]!)
      if (names.length === 0) {
        this.#poll = undefined
        return
      }
      const look = this.#query(WAITING, [names]).then(({ rows }) => {
        for (const { queue } of rows) this.#sleepers.nudge(this.#names.indexOf(String(queue)))
      })
      // Where it fails, the sleepers look by themselves when their time is over.
      void look
        .catch(() => {})
        .then(() => {
          this.#poll = undefined
          this.#pollLater()
        })
    })
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
    await Promise.all(this.#ready().stores.map((store) => store.pause(true)))
  }

  async resume(): Promise<void> {
    await Promise.all(this.#ready().stores.map((store) => store.pause(false)))
    this.#sleepers.wake(this.#names.keys())
  }

  async stats(): Promise<BackendStats> {
    const { letters } = this.#ready()
    const isPaused = `SELECT 1 FROM meta WHERE queue = ANY($1) AND field = 'paused' AND value = '1' LIMIT 1`
    const isLive = `SELECT count(*)::int AS n FROM holdfast_worker WHERE queue = $1 AND seen_ms >= ${NOW} - $2`
    const [look, paused, live, dead] = await Promise.all([
      this.#query(LOOK, [this.#names]),
      this.#query(isPaused, [this.#names]),
      this.#query(isLive, [this.#name, Math.max(this.#setup.takeover, 3_000)]),
      letters.count(),
    ])
    const { depth, oldest } = look.rows[0] ?? {}
    return {
      depth: Number(depth),
      oldestAt: oldest === null || oldest === undefined ? undefined : Number(oldest),
      dead,
      paused: paused.rows.length > 0,
      workers: Number(live.rows[0]?.n ?? 0),
    }
  }

  async drop(): Promise<number> {
    const before = await this.stats()
    await Promise.all(this.#ready().stores.map((store) => store.drain(false)))
    return before.depth - (await this.stats()).depth
  }

  async close(): Promise<void> {
    this.#sleepers.close()
    this.#poll?.cancel()
    await Promise.allSettled([...this.#leases].map((lease) => lease.release()))
    const opened = await this.#opening?.catch(() => undefined)
    if (!opened) return
    const leave = `DELETE FROM holdfast_worker WHERE queue = $1 AND process = $2`
    await this.#query(leave, [this.#name, this.#self]).catch(() => {})
    await opened.root.close().catch(() => {})
  }

  #query(text: string, values: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    const { clock, deadline } = this.#setup
    return within(clock, deadline, this.#ready().root.query(text, values))
  }

  #ready(): Opened {
    if (this.#opened) return this.#opened
    throw new QueueUnavailable('the queue is not open')
  }

  async #open(): Promise<Opened> {
    const { clock, connection, deadline, partitions, queue } = this.#setup
    const root = await openStore(connection, this.#name, deadline)
    root.on('error', () => {})
    try {
      // The tables may have to be made first.
      await within(clock, deadline * 4, root.waitUntilReady())
      await within(clock, deadline, root.query(TABLES))
      const agree = `INSERT INTO holdfast_about AS a VALUES ($1, $2)
        ON CONFLICT (queue) DO UPDATE SET partitions = a.partitions RETURNING partitions`
      const { rows } = await within(clock, deadline, root.query(agree, [this.#name, partitions]))
      const fixed = Number(rows[0]?.partitions)
      if (fixed !== partitions) {
        throw new QueueMismatch(
          `the queue '${queue}' has ${fixed} partitions in PostgreSQL, here it says ${partitions}`,
          `write partitions: ${fixed}, or use a new name`,
        )
      }
      const stores = this.#names.map((name) => root.forQueue(name))
      return { root, stores, letters: new BullLetters(root.forQueue(`${this.#name}-dead`)) }
    } catch (error) {
      await root.close().catch(() => {})
      throw error
    }
  }
}
