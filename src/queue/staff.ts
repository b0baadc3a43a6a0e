import { Bulkhead } from '../base/bulkhead.ts'
import { sleep } from '../base/clock.ts'
import { QueueMismatch } from './errors.ts'
import { type QueueLeaseEvent, queueLeaseEvents, tellFault } from './events.ts'
import { PartitionWorker, type WorkerSetup } from './partition-worker.ts'

/** How long a partition that is taken from a process in favour of another may take to finish its batch, ms. */
const HAND_OVER = 5_000

/**
 * The workers of one queue in this process: as many partitions as are its share of all live
 * processes. When another process comes, the share falls and partitions are given back after the
 * batch in hand; when one dies, its leases lapse and are taken here.
 */
export class Staff<T> {
  readonly #setup: WorkerSetup<T>
  readonly #workers = new Map<number, PartitionWorker<T>>()
  readonly #stop = new AbortController()
  readonly #round: number
  readonly #running: Promise<void>

  constructor(setup: Omit<WorkerSetup<T>, 'places' | 'progress'>) {
    const { concurrency, partitions } = setup.settings
    this.#setup = { ...setup, places: new Bulkhead(concurrency, partitions), progress: { successes: 0 } }
    // Two looks within the life of a lease: a partition whose owner died is taken up soon after.
    this.#round = Math.min(1_000, setup.settings.takeover / 4)
    this.#running = this.#run()
  }

  /** Partitions that this process owns. */
  get owned(): readonly number[] {
    return [...this.#workers.keys()]
  }

  async stop(grace: number): Promise<void> {
    this.#stop.abort(new Error('the queue is being closed'))
    await this.#running
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop(grace)))
  }

  async #run(): Promise<void> {
    const { random } = this.#setup
    while (!this.#stop.signal.aborted) {
      try {
        await this.#look()
      } catch (error) {
        tellFault(this.#setup, 'beat', error)
        // A queue that cannot work as it is set up will not by asking often.
        if (error instanceof QueueMismatch) await this.#nap(this.#round * 4)
      }
      await this.#nap(this.#round * (0.75 + random.float() / 2))
    }
  }

  async #look(): Promise<void> {
    const { backend, settings, random } = this.#setup
    await backend.open()
    const live = Math.max(1, await backend.beat())
    const share = Math.ceil(settings.partitions / live)
    if (this.#workers.size > share) {
      const worker = [...this.#workers.values()].at(-1)
      if (worker) void worker.stop(HAND_OVER)
      return
    }
    const start = Math.floor(random.float() * settings.partitions)
    for (let i = 0; i < settings.partitions && this.#workers.size < share; i++) {
      const partition = (start + i) % settings.partitions
      if (this.#stop.signal.aborted) return
      if (!this.#workers.has(partition)) await this.#take(partition)
    }
  }

  async #take(partition: number): Promise<void> {
    const lease = await this.#setup.backend.lease(partition)
    if (!lease) return
    if (this.#stop.signal.aborted) return lease.release()
    const worker = new PartitionWorker(this.#setup, lease)
    this.#workers.set(partition, worker)
    this.#tell(partition, 'taken')
    void worker.finished.then(() => {
      this.#workers.delete(partition)
      this.#tell(partition, lease.lost.aborted ? 'lost' : 'released')
    })
  }

  #tell(partition: number, state: QueueLeaseEvent['state']): void {
    if (!queueLeaseEvents.active) return
    const { namespace, queue } = this.#setup
    queueLeaseEvents.publish({ namespace, queue, partition, state })
  }

  #nap(ms: number): Promise<void> {
    return sleep(this.#setup.clock, ms, this.#stop.signal).catch(() => {})
  }
}
