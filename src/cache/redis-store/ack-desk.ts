import type { Clock } from '../../base/clock.ts'

interface Wait {
  readonly heard: Set<string>
  missing: Set<string> | undefined
  done: (() => void) | undefined
}

/**
 * Where the barrier's confirmations are written and read. Outgoing ones of a tick to one process
 * travel as one message: `<from> <id> <id> …`.
 */
export class AckDesk {
  readonly #clock: Clock
  readonly #self: string
  readonly #waits = new Map<string, Wait>()
  readonly #outgoing = new Map<string, string[]>()
  #count = 0

  constructor(clock: Clock, self: string) {
    this.#clock = clock
    this.#self = self
  }

  open(): string {
    const id = (++this.#count).toString(36)
    this.#waits.set(id, { heard: new Set(), missing: undefined, done: undefined })
    return id
  }

  close(id: string): void {
    this.#waits.delete(id)
  }

  /** Resolves when all of `from` confirmed, or after `ms`: then their trust has lapsed anyway. */
  wait(id: string, from: readonly string[], ms: number): Promise<void> {
    const wait = this.#waits.get(id)
    if (wait === undefined) return Promise.resolve()
    wait.missing = new Set(from.filter((process) => !wait.heard.has(process)))
    if (wait.missing.size === 0) {
      this.close(id)
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel()
        this.close(id)
        resolve()
      }
      const timer = this.#clock.after(ms, finish)
      wait.done = finish
    })
  }

  heard(message: string): void {
    const [from, ...ids] = message.split(' ')
    for (const id of ids) {
      const wait = this.#waits.get(id)
      if (wait === undefined) continue
      wait.heard.add(from!)
      if (wait.missing?.delete(from!) && wait.missing.size === 0) wait.done?.()
    }
  }

  confirm(channel: string, id: string, send: (channel: string, message: string) => void): void {
    const ids = this.#outgoing.get(channel)
    if (ids) {
      ids.push(id)
      return
    }
    const batch = [id]
    this.#outgoing.set(channel, batch)
    this.#clock.endOfTick(() => {
      this.#outgoing.delete(channel)
      send(channel, `${this.#self} ${batch.join(' ')}`)
    })
  }
}
