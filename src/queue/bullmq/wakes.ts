import type { RedisNode, RedisPort } from '../../redis/port.ts'
import { Sleepers } from '../sleepers.ts'

/**
 * How a worker hears that there is work: producers publish the numbers of the partitions that they
 * added to. A hint only: what is missed is found by the next look.
 */
export class Wakes {
  readonly #port: RedisPort
  readonly #channel: string
  readonly #sleepers: Sleepers
  #listening: { readonly node: RedisNode; stop(): void } | undefined

  constructor(port: RedisPort, channel: string) {
    this.#port = port
    this.#channel = channel
    this.#sleepers = new Sleepers(port.clock)
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
    if (!signal.aborted) this.#listen()
    return this.#sleepers.wait(partitions, ms, signal)
  }

  close(): void {
    this.#sleepers.close()
    this.#listening?.stop()
  }

  /** The node is asked for each time: after a move of the slot another one is to be listened to. */
  #listen(): void {
    const node = this.#port.nodeFor(this.#channel)
    if (this.#listening?.node === node) return
    this.#listening?.stop()
    const stop = node.bus.subscribe([this.#channel], {
      message: (text) => this.#sleepers.wake(text.split(',').map(Number)),
      gap: () => {},
      open: () => this.#sleepers.wakeAll(),
    })
    this.#listening = { node, stop }
  }
}
