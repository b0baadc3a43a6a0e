import { type Clock, sleep } from '../base/clock.ts'
import { Closed, ConfigError } from '../base/errors.ts'
import type { Parcel, ParcelLog, QueueBackend } from './backend.ts'
import { QueueMismatch, QueueUnavailable, QueueUncertain } from './errors.ts'
import { type QueueAddEvent, queueAddEvents, tellFault } from './events.ts'

export interface OutletSetup {
  readonly clock: Clock
  readonly namespace: string
  readonly queue: string
  readonly backend: QueueBackend
  /** Opens the local file; `undefined` where an outage is refused. */
  readonly openLog: (() => Promise<ParcelLog>) | undefined
}

/** Pauses between tries to empty the local file, ms. */
const REPLAY_FIRST = 100
const REPLAY_MOST = 2_000

/**
 * The way of parcels to the backend, and past it: while Redis is away they go into the local file,
 * and once something is in there everything follows behind it, so that no message overtakes another.
 */
export class ParcelOutlet {
  readonly #setup: OutletSetup
  readonly #closing = new AbortController()
  #log: ParcelLog | undefined
  #openingLog: Promise<ParcelLog> | undefined
  #isOpen = false
  #emptying: Promise<void> | undefined

  constructor(setup: OutletSetup) {
    this.#setup = setup
  }

  /** Messages in the local file. */
  get spilled(): number {
    return this.#log?.messages ?? 0
  }

  /** What an earlier process left in the file is sent first. */
  async start(): Promise<void> {
    const log = await this.#openLog()
    if (log && log.parcels > 0) this.#startEmptying(log)
  }

  readonly put = async (parcels: readonly Parcel[]): Promise<readonly (Error | undefined)[]> => {
    const started = this.#setup.clock.mono()
    const verdicts = [...(await this.#put(parcels, started))]
    return verdicts
  }

  async close(): Promise<void> {
    this.#closing.abort(new Closed('this queue is closed'))
    await this.#emptying
    const log = await this.#openingLog?.catch(() => undefined)
    await log?.close()
  }

  async #put(parcels: readonly Parcel[], started: number): Promise<readonly (Error | undefined)[]> {
    let log: ParcelLog | undefined
    try {
      log = await this.#openLog()
    } catch (error) {
      return this.#tell(
        parcels,
        started,
        parcels.map(() => asError(error)),
      )
    }
    if (log && (log.parcels > 0 || this.#emptying)) return this.#spill(log, parcels, started)
    let verdicts: readonly (Error | undefined)[]
    try {
      if (!this.#isOpen) {
        await this.#setup.backend.open()
        this.#isOpen = true
      }
      verdicts = await this.#setup.backend.put(parcels)
    } catch (error) {
      verdicts = parcels.map(() => asError(error))
    }
    const failed = parcels.filter((_, i) => isAway(verdicts[i]))
    if (!log || failed.length === 0) return this.#tell(parcels, started, verdicts)
    // Of those that are uncertain two may come to be: they bear the same ids.
    const kept = await this.#spill(log, failed, started)
    const stored = parcels.filter((_, i) => !isAway(verdicts[i]))
    this.#tell(
      stored,
      started,
      verdicts.filter((verdict) => !isAway(verdict)),
    )
    return verdicts.map((verdict, i) => (isAway(verdict) ? kept[failed.indexOf(parcels[i]!)] : verdict))
  }

  async #spill(
    log: ParcelLog,
    parcels: readonly Parcel[],
    started: number,
  ): Promise<readonly (Error | undefined)[]> {
    try {
      await log.append(parcels)
    } catch (error) {
      return this.#tell(
        parcels,
        started,
        parcels.map(() => asError(error)),
      )
    }
    this.#startEmptying(log)
    this.#say('spilled', parcels, started)
    return parcels.map(() => undefined)
  }

  #startEmptying(log: ParcelLog): void {
    this.#emptying ??= this.#empty(log).finally(() => {
      this.#emptying = undefined
    })
  }

  async #empty(log: ParcelLog): Promise<void> {
    const { clock, backend } = this.#setup
    let pause = REPLAY_FIRST
    while (!this.#closing.signal.aborted && log.parcels > 0) {
      try {
        await backend.open()
        await log.replay(async (parcels) => {
          if (this.#closing.signal.aborted) throw this.#closing.signal.reason
          const verdicts = await backend.put(parcels)
          pause = REPLAY_FIRST
          const failed = verdicts.find((verdict) => verdict !== undefined)
          // The whole page is sent again then: what was stored of it twice is one by its ids.
          if (failed) throw failed
        })
      } catch (error) {
        if (this.#closing.signal.aborted) return
        tellFault(this.#setup, 'replay', error)
        await sleep(clock, pause, this.#closing.signal).catch(() => {})
        pause = Math.min(REPLAY_MOST, pause * 2)
      }
    }
  }

  async #openLog(): Promise<ParcelLog | undefined> {
    const { openLog } = this.#setup
    if (this.#log || !openLog) return this.#log
    this.#openingLog ??= openLog()
    try {
      this.#log = await this.#openingLog
    } catch (error) {
      this.#openingLog = undefined
      throw error
    }
    return this.#log
  }

  #tell(
    parcels: readonly Parcel[],
    started: number,
    verdicts: readonly (Error | undefined)[],
  ): readonly (Error | undefined)[] {
    const by = (outcome: QueueAddEvent['outcome'], fits: (verdict: Error | undefined) => boolean) =>
      this.#say(
        outcome,
        parcels.filter((_, i) => fits(verdicts[i])),
        started,
      )
    by('stored', (verdict) => verdict === undefined)
    by('uncertain', (verdict) => verdict instanceof QueueUncertain)
    by('refused', (verdict) => verdict !== undefined && !(verdict instanceof QueueUncertain))
    return verdicts
  }

  #say(outcome: QueueAddEvent['outcome'], parcels: readonly Parcel[], started: number): void {
    if (!queueAddEvents.active || parcels.length === 0) return
    const { namespace, queue, clock } = this.#setup
    const messages = parcels.reduce((sum, { count }) => sum + count, 0)
    const ms = clock.mono() - started
    queueAddEvents.publish({ namespace, queue, outcome, messages, parcels: parcels.length, ms })
  }
}

/** Errors that a local file helps against: not a wrong setting, not a full one. */
function isAway(verdict: Error | undefined): boolean {
  return verdict instanceof QueueUnavailable || verdict instanceof QueueUncertain
}

function asError(error: unknown): Error {
  if (error instanceof QueueMismatch || error instanceof ConfigError) return error
  return error instanceof Error ? error : new QueueUnavailable('the message was not stored', { cause: error })
}
