import type { Clock } from '../../base/clock.ts'
import type { HeldParcel, PartitionLease, Settlement } from '../backend.ts'
import { LeaseClock } from '../lease-clock.ts'
import type { PostgresStore } from './store.ts'
import { NOW } from './tables.ts'

export interface PostgresLeaseSetup {
  readonly clock: Clock
  readonly store: PostgresStore
  /** BullMQ's name of the partition. */
  readonly name: string
  readonly partition: number
  readonly token: string
  readonly fence: number
  readonly ttl: number
  readonly since: number
  readonly dedupe: number
  ended(): void
}

const NO_LOCK = '0'

/** One partition of a queue in BullMQ's PostgreSQL tables, owned. */
export class PostgresLease implements PartitionLease {
  readonly partition: number
  readonly fence: number
  readonly #setup: PostgresLeaseSetup
  readonly #life: LeaseClock
  readonly #held = new Set<string>()
  /** Statements run one after the other: over a pool their order would not be known. */
  #last: Promise<unknown> = Promise.resolve()
  #isAdopted = false
  #isReleased = false

  constructor(setup: PostgresLeaseSetup) {
    const { clock, store, name, token, ttl, since, ended } = setup
    this.#setup = setup
    this.partition = setup.partition
    this.fence = setup.fence
    this.#life = new LeaseClock({
      ...{ clock, ttl, since, ended },
      async renew() {
        const renewed = `UPDATE holdfast_lease SET until_ms = ${NOW} + $3 WHERE queue = $1 AND token = $2 RETURNING 1`
        return (await store.query(renewed, [name, token, ttl])).rows.length === 1
      },
    })
  }

  get lost(): AbortSignal {
    return this.#life.lost
  }

  take(most: number): Promise<readonly HeldParcel[]> {
    return this.#inTurn(async () => {
      const { store } = this.#setup
      if (!this.#isAdopted) {
        // What an owner before us held and did not settle comes first again.
        await this.#returnForeign()
        this.#isAdopted = true
      }
      const parcels: HeldParcel[] = []
      while (parcels.length < most) {
        const [job, id] = await store.moveToActive(NO_LOCK).catch((error: unknown) => {
          // What came before the fault is held and must be handed out.
          if (parcels.length === 0) throw error
          return [undefined, ''] as const
        })
        if (!job) break
        this.#held.add(id)
        // Somebody else's job may hold anything.
        const data = JSON.parse(job.data) as { parcel?: unknown } | null
        parcels.push({
          handle: id,
          position: Number(id),
          text: typeof data?.parcel === 'string' ? data.parcel : job.data,
          count: Number.parseInt(job.name, 10) || 1,
          deliveries: job.attemptsStarted ?? 1,
          note: typeof job.progress === 'string' ? job.progress : undefined,
        })
      }
      // A lease that lapsed meanwhile may have handed the rest to another.
      this.#life.assertHeld()
      if (await this.#isAlone()) return parcels
      for (const { handle } of parcels) this.#held.delete(handle)
      await this.#returnForeign()
      return []
    })
  }

  settle(parcels: readonly Settlement[], done: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const { store, name } = this.#setup
      if (done.length > 0) {
        const remember = `INSERT INTO holdfast_done (queue, id, at_ms) SELECT $1, id, ${NOW} FROM unnest($2::text[]) AS id
          ON CONFLICT (queue, id) DO UPDATE SET at_ms = EXCLUDED.at_ms`
        await store.query(remember, [name, [...new Set(done)]])
      }
      for (const { handle } of parcels) {
        await store.moveToCompleted({ id: handle, opts: {} }, null, true, NO_LOCK, false).catch(unlessGone)
        this.#held.delete(handle)
      }
    })
  }

  async seen(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const { store, name, dedupe } = this.#setup
    const known = `SELECT id FROM holdfast_done WHERE queue = $1 AND id = ANY($2::text[]) AND at_ms > ${NOW} - $3`
    const { rows } = await store.query(known, [name, ids, dedupe])
    return new Set(rows.map(({ id }) => String(id)))
  }

  note(handle: string, note: string): Promise<void> {
    return this.#inTurn(() => this.#setup.store.updateProgress(handle, note))
  }

  async release(): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    await this.#last.catch(() => {})
    const wasHeld = this.#life.isHeld
    const { store, name, token, ended } = this.#setup
    this.#life.stop()
    ended()
    if (!wasHeld) return
    try {
      this.#held.clear()
      await this.#returnForeign()
      await store.query(`UPDATE holdfast_lease SET until_ms = 0 WHERE queue = $1 AND token = $2`, [
        name,
        token,
      ])
    } catch {
      // It ends by itself, and the next owner puts the parcels back.
    }
  }

  /** Whether nobody who lost this lease took something all the same. Where that is not known: no. */
  async #isAlone(): Promise<boolean> {
    const { store, name } = this.#setup
    const active = `SELECT count(*)::int AS n FROM job WHERE queue = $1 AND state = 'active'`
    const found = await store.query(active, [name]).catch(() => undefined)
    return found !== undefined && Number(found.rows[0]?.n) <= this.#held.size
  }

  /**
   * What is active and not ours goes back to the front, the oldest last, so that it comes out first.
   * By BullMQ's verb for a retry: its way back to wait leads to the end here, unlike in Redis.
   */
  async #returnForeign(): Promise<void> {
    const { store, name } = this.#setup
    const { rows } = await store.query(`SELECT id FROM job WHERE queue = $1 AND state = 'active'`, [name])
    const foreign = rows.map(({ id }) => String(id)).filter((id) => !this.#held.has(id))
    foreign.sort((a, b) => Number(b) - Number(a))
    for (const id of foreign) await store.retryJob(id, true, NO_LOCK).catch(unlessGone)
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      this.#life.assertHeld()
      return act()
    })
    this.#last = turn.catch(() => {})
    return turn
  }
}

/** BullMQ rejects with a number as code for a job that is not there or not active any more. */
function unlessGone(error: unknown): void {
  if (error instanceof Error && 'code' in error && typeof error.code === 'number') return
  throw error
}
