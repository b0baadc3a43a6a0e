import type { Reply } from '../../redis/link.ts'
import type { RedisNode, RedisPort } from '../../redis/port.ts'
import type { HeldParcel, PartitionLease, Settlement } from '../backend.ts'
import { LeaseClock } from '../lease-clock.ts'
import type { PartitionPlace } from './layout.ts'
import type { BullJob, BullStore } from './library.ts'
import { FREE, RENEW } from './scripts.ts'

export interface LeaseSetup {
  readonly port: RedisPort
  readonly store: BullStore
  readonly place: PartitionPlace
  readonly token: string
  readonly fence: number
  /** Life of the lease unless renewed, ms. */
  readonly ttl: number
  /** Monotonic time before the command that won the lease was sent. */
  readonly since: number
  readonly deadline: number
  /** How long settled ids are remembered, at least, ms. */
  readonly dedupe: number
  ended(): void
}

/** Jobs under our lease need no lock of BullMQ's own. */
const NO_LOCK = '0'
/** Most parcels asked for in one tick. */
const MAX_STRIDE = 64

/** One partition of a queue in BullMQ, owned. */
export class BullLease implements PartitionLease {
  readonly partition: number
  readonly fence: number
  readonly #setup: LeaseSetup
  readonly #clock: LeaseClock
  readonly #held = new Set<string>()
  #isAdopted = false
  #isReleased = false
  /** Parcels asked for next: as many as are likely to be there, since each is one command. */
  #stride = 4
  #position = 0

  constructor(setup: LeaseSetup) {
    this.#setup = setup
    this.partition = setup.place.index
    this.fence = setup.fence
    const { port, place, token, ttl, since, ended } = setup
    this.#clock = new LeaseClock({
      ...{ clock: port.clock, ttl, since, ended },
      renew: async (deadline) =>
        (await this.#node().eval(RENEW, [place.lease], [token, String(ttl)], { deadline })) === 1,
    })
  }

  get lost(): AbortSignal {
    return this.#clock.lost
  }

  async take(most: number): Promise<readonly HeldParcel[]> {
    this.#clock.assertHeld()
    if (!this.#isAdopted) {
      // What an owner before us held and did not settle comes first again.
      await this.#returnForeign()
      this.#isAdopted = true
    }
    const parcels: HeldParcel[] = []
    while (parcels.length < most) {
      const asked = Math.min(most - parcels.length, this.#stride)
      const found = await this.#fetch(asked).catch((error: unknown) => {
        // What came before the fault is held and must be handed out.
        if (parcels.length === 0) throw error
      })
      if (!found) break
      if (!found.isAlone) {
        // Somebody who lost this lease took a parcel all the same, by a command that was late: it must
        // not be overtaken. Everything goes back and is taken again, in order.
        for (const { handle } of [...parcels, ...found.parcels]) this.#held.delete(handle)
        await this.#returnForeign()
        return this.take(most)
      }
      parcels.push(...found.parcels)
      const isShort = found.parcels.length < asked
      this.#stride = isShort ? Math.max(1, found.parcels.length + 1) : Math.min(MAX_STRIDE, this.#stride * 2)
      if (isShort) break
    }
    return parcels
  }

  async settle(parcels: readonly Settlement[], done: readonly string[]): Promise<void> {
    this.#clock.assertHeld()
    const { store, place, deadline } = this.#setup
    const node = this.#node()
    const sent: Promise<unknown>[] = []
    if (done.length > 0) {
      const key = place.done(this.#window(node))
      sent.push(node.send(['SADD', key, ...done], { deadline }))
      sent.push(node.send(['PEXPIRE', key, String(this.#setup.dedupe * 2)], { deadline }))
    }
    let count = 0
    for (const { handle, count: messages } of parcels) {
      count += messages
      // Forgotten in the order of sending, so that a count of active jobs that is asked for next fits.
      this.#held.delete(handle)
      sent.push(store.moveToCompleted({ id: handle, opts: {} }, null, true, NO_LOCK, false).catch(unlessGone))
    }
    if (count > 0) sent.push(node.send(['HINCRBY', place.count, 'settled', String(count)], { deadline }))
    await all(sent)
  }

  async seen(ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set()
    const { place, deadline } = this.#setup
    const node = this.#node()
    const window = this.#window(node)
    const replies = await Promise.all(
      [window, window - 1].map((w) => node.send(['SMISMEMBER', place.done(w), ...ids], { deadline })),
    )
    return new Set(ids.filter((_, i) => replies.some((reply) => (reply as number[])[i] === 1)))
  }

  async note(handle: string, note: string): Promise<void> {
    this.#clock.assertHeld()
    await this.#setup.store.updateProgress(handle, note)
  }

  async release(): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    const wasHeld = this.#clock.isHeld
    this.#clock.stop()
    const { place, token, deadline, ended } = this.#setup
    ended()
    if (!wasHeld) return
    try {
      this.#held.clear()
      await this.#returnForeign()
      await this.#node().eval(FREE, [place.lease], [token], { deadline })
    } catch {
      // It ends by itself, and the next owner puts the parcels back.
    }
  }

  async #fetch(asked: number): Promise<{ parcels: HeldParcel[]; isAlone: boolean }> {
    const { store } = this.#setup
    const before = this.#held.size
    // All leave in one tick and in this order, so the count is that right after the last of them.
    const jobs = Array.from({ length: asked }, () => store.moveToActive(NO_LOCK))
    const counts = store.getCounts(['active'])
    await Promise.allSettled([...jobs, counts])
    // A reply that is missing leaves a job active that nobody holds: the next look at the count finds it.
    const taken = await Promise.all(jobs)
    const [active = 0] = await counts
    this.#clock.assertHeld()
    const parcels: HeldParcel[] = []
    for (const [job, id] of taken) {
      if (!job) continue
      this.#held.add(id)
      parcels.push(this.#parcel(job, id))
    }
    parcels.sort((a, b) => a.position - b.position)
    return { parcels, isAlone: active <= before + parcels.length }
  }

  #parcel(job: BullJob, id: string): HeldParcel {
    const number = Number(id)
    // A job that somebody added by hand under a name of his own stands where it was found.
    this.#position = Number.isSafeInteger(number) ? number : this.#position + 0.001
    return {
      handle: id,
      position: this.#position,
      text: job.data ?? '',
      count: Number.parseInt(job.name, 10) || 1,
      deliveries: job.attemptsStarted ?? 1,
      note: typeof job.progress === 'string' ? job.progress : undefined,
    }
  }

  /** Puts every active job that we do not hold back to the front, in the order of their numbers. */
  async #returnForeign(): Promise<void> {
    const { store, place, deadline } = this.#setup
    const ours = new Set(this.#held)
    const reply = await this.#node().send(['LRANGE', place.active, '0', '-1'], { deadline })
    const foreign = (reply as Reply[]).map(String).filter((id) => !ours.has(id))
    // The last one put to the front is the first one out.
    foreign.sort((a, b) => Number(b) - Number(a))
    await all(foreign.map((id) => store.moveJobFromActiveToWait(id, NO_LOCK).catch(unlessGone)))
  }

  #node(): RedisNode {
    return this.#setup.port.nodeFor(this.#setup.place.lease)
  }

  #window(node: RedisNode): number {
    return Math.floor(node.serverNow() / this.#setup.dedupe)
  }
}

/** Waits for all before it throws, so that nothing rejects behind anybody's back. */
async function all<T>(sent: readonly Promise<T>[]): Promise<T[]> {
  const replies = await Promise.allSettled(sent)
  return replies.map((reply) => {
    if (reply.status === 'rejected') throw reply.reason
    return reply.value
  })
}

/** BullMQ rejects with an error of its own for a job that is not there or not active any more. */
function unlessGone(error: unknown): number {
  const isBullmqs = error instanceof Error && 'code' in error && typeof error.code === 'number'
  if (isBullmqs) return 0
  throw error
}
