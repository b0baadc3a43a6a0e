import type { RedisNode, RedisPort } from '../../redis/port.ts'

/**
 * How a worker hears that there is work: producers publish the numbers of the partitions that they
 * added to. A hint only: what is missed is found by the next look.
 */
export class Wakes {
  readonly #port: RedisPort
  readonly #channel: string
  readonly #sleepers = new Set<{ readonly partitions: readonly number[]; wake(): void }>()
  #listening: { readonly node: RedisNode; stop(): void } | undefined
  /** Told of while nobody slept for them: the next who would sleep does not. */
  readonly #missed = new Set<number>()
  #isClosed = false

  constructor(port: RedisPort, channel: string) {
    this.#port = port
    this.#channel = channel
  }

  tell(partitions: readonly number[], through: RedisPort, deadline: number): void {
    if (partitions.length === 0) return
    const words = ['PUBLISH', this.#channel, partitions.join(',')]
    through
      .nodeFor(this.#channel)
      .send(words, { deadline })
      .catch(() => {})
  }

  wait(partitions: readonly number[], ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#isClosed) return Promise.resolve()
    this.#listen()
    const missed = partitions.filter((partition) => this.#missed.delete(partition))
    if (missed.length > 0) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', wake)
        this.#sleepers.delete(sleeper)
        resolve()
      }
      const sleeper = { partitions, wake }
      const timer = this.#port.clock.after(ms, wake)
      signal.addEventListener('abort', wake, { once: true })
      this.#sleepers.add(sleeper)
    })
  }

  close(): void {
    this.#isClosed = true
    this.#listening?.stop()
    this.#wakeAll()
  }

  /** The node is asked for each time: after a move of the slot another one is to be listened to. */
  #listen(): void {
    const node = this.#port.nodeFor(this.#channel)
    if (this.#listening?.node === node) return
    this.#listening?.stop()
    const stop = node.bus.subscribe([this.#channel], {
      message: (text) => this.#hear(text),
      gap: () => {},
      open: () => this.#wakeAll(),
    })
    this.#listening = { node, stop }
  }

  #hear(text: string): void {
    for (const partition of text.split(',').map(Number)) {
      const sleepers = [...this.#sleepers].filter((sleeper) => sleeper.partitions.includes(partition))
      if (sleepers.length === 0) this.#missed.add(partition)
      for (const sleeper of sleepers) sleeper.wake()
    }
  }

  #wakeAll(): void {
    for (const sleeper of [...this.#sleepers]) sleeper.wake()
  }
}
