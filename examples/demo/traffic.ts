import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from '../../src/cli/demo-backend.ts'
import { Meter } from './meter.ts'
import { VISITORS } from './visitors.ts'

/** Steps without a pause, so that there is something to see. */
const WARM_UP = 10
/** Nobody who forgets the demo in a corner heats the room with it. */
export const MOST_STEPS = 2_000
export const MOST_MS = 15 * 60_000

/** Visitors of every backend, for a bounded time. */
export class Traffic {
  readonly meters: Readonly<Record<string, Meter>>
  readonly #backends: Readonly<Record<string, readonly Backend[]>>
  #running: AbortController | undefined
  #work: Promise<unknown> = Promise.resolve()

  constructor(backends: Readonly<Record<string, readonly Backend[]>>) {
    this.#backends = backends
    this.meters = Object.fromEntries(Object.keys(backends).map((name) => [name, new Meter()]))
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Begins, unless it runs. */
  start(): void {
    if (this.#running) return
    const running = new AbortController()
    this.#running = running
    const signal = AbortSignal.any([running.signal, AbortSignal.timeout(MOST_MS)])
    const visits = Object.entries(this.#backends).map(([name, backends]) =>
      this.#visit(name, backends, signal),
    )
    this.#work = Promise.all(visits).then(() => {
      if (this.#running === running) this.#running = undefined
    })
  }

  async stop(): Promise<void> {
    this.#running?.abort()
    await this.#work
  }

  async #visit(name: string, backends: readonly Backend[], signal: AbortSignal): Promise<void> {
    const meter = this.meters[name]!
    const visitor = await VISITORS[name]!(backends).catch(() => undefined)
    if (visitor === undefined) {
      meter.failed++
      return
    }
    for (let turn = 0; turn < MOST_STEPS && !signal.aborted; turn++) {
      await meter.measure(() => visitor.step(turn))
      if (turn >= WARM_UP) await sleep(visitor.pauseMs, undefined, { signal }).catch(() => {})
    }
    await visitor.leave?.().catch(() => {})
  }
}
