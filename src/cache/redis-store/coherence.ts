import type { Clock, Timer } from '../../base/clock.ts'
import { sleep } from '../../base/clock.ts'
import { compileGlob } from '../../base/glob.ts'
import type { RedisPort } from '../../redis/port.ts'
import type { Invalidation, Stamp, Wait } from '../store.ts'
import { AckDesk } from './ack-desk.ts'
import { type Bucket, keyName, tagName } from './bucket.ts'
import type { LocalCopies } from './local-copies.ts'
import { encodeMessage, type InvalidationMessage, parseMessage } from './message.ts'
import { HEARTBEAT } from './scripts.ts'
import { DEADLINES, HEARTBEAT_MS, SILENT_MS, TRUST_MS, TRUST_WITH_MARGIN_MS } from './settings.ts'

/** What INVALIDATE and SET answer: where they committed, and who may still hold copies. */
export interface Commit {
  readonly stamp: Stamp
  /** Server ms. */
  readonly now: number
  readonly born: number
  readonly live: readonly string[]
}

export function parseCommit(reply: readonly unknown[]): Commit {
  const [epoch, seq, now, born, ...live] = reply as string[]
  return { stamp: { epoch: epoch!, seq: Number(seq) }, now: Number(now), born: Number(born), live }
}

/**
 * Keeps local copies honest. Each bucket's invalidations arrive in commit order on the push
 * connection; a heartbeat proves that nothing on it is missing, and buys W of trust from the moment
 * it was sent. The barrier is the other side: an invalidation waits until each live process said
 * that it heard, or until its trust must have lapsed.
 */
export class Coherence {
  readonly processId: string
  readonly #port: RedisPort
  readonly #clock: Clock
  readonly #copies: LocalCopies | undefined
  readonly #desk: AckDesk
  readonly #watches = new Map<Bucket, { stop: () => void }>()

  constructor(port: RedisPort, copies: LocalCopies | undefined) {
    this.#port = port
    this.#clock = port.clock
    this.#copies = copies
    this.processId = port.random.id()
    this.#desk = new AckDesk(port.clock, this.processId)
  }

  /** Starts to follow a bucket; called again with the same bucket it re-subscribes on its new node. */
  watch(bucket: Bucket): void {
    this.unwatch(bucket)
    const node = bucket.node
    const { channel } = bucket.layout
    const ackChannel = bucket.layout.ack(this.processId)
    let timer: Timer | undefined
    let isOpen = false
    let stopped = false
    // Without local copies only the answers to our own invalidations matter.
    const channels = this.#copies ? [channel, ackChannel] : [ackChannel]
    const unsubscribe = node.bus.subscribe(channels, {
      message: (message, on) => {
        if (on === ackChannel) this.#desk.heard(message)
        else this.#onMessage(bucket, message)
      },
      gap: () => {
        isOpen = false
        bucket.distrust()
      },
      open: () => {
        isOpen = true
        beat()
      },
    })
    const beat = (): void => {
      // Not `bus.isOpen`: the bus may be open for others while our own channels are still asked for.
      if (isOpen && !stopped) void this.#beat(bucket)
    }
    const tick = (): void => {
      if (stopped) return
      timer = this.#clock.after(HEARTBEAT_MS, tick)
      beat()
    }
    if (this.#copies) tick()
    this.#watches.set(bucket, {
      stop: () => {
        stopped = true
        timer?.cancel()
        unsubscribe()
        bucket.distrust()
      },
    })
  }

  unwatch(bucket: Bucket): void {
    this.#watches.get(bucket)?.stop()
    this.#watches.delete(bucket)
  }

  /** Runs one heartbeat; on success copies of the bucket may be served for W from its sending. */
  async #beat(bucket: Bucket): Promise<void> {
    const { node, layout } = bucket
    if (!this.#copies || node.state !== 'ready' || !node.bus.isOpen) return
    const flushes = bucket.flushes
    const generation = node.generation
    const untilMono = this.#clock.mono() + TRUST_MS
    const untilWall = this.#clock.wall() + TRUST_MS
    const args = [node.incarnation, this.#port.random.id(), this.processId, String(SILENT_MS)]
    try {
      const keys = [layout.word, layout.members]
      const reply = await node.eval(HEARTBEAT, keys, args, { deadline: DEADLINES.write })
      // Only now: an invalidation before this ping was delivered, one after it knows of us and waits.
      await node.bus.ping(DEADLINES.write)
      // A gap, an epoch change or a new connection meanwhile: this proof is about another stream.
      if (bucket.flushes !== flushes || node.generation !== generation || !node.bus.isOpen) return
      const [epoch] = reply as string[]
      if (epoch !== bucket.epoch) bucket.flush(epoch!)
      bucket.trust(untilMono, untilWall)
    } catch {
      // The trust bought by earlier heartbeats lapses by itself; the node reports its own faults.
    }
  }

  #onMessage(bucket: Bucket, text: string): void {
    const message = parseMessage(text)
    if (message === undefined) {
      bucket.distrust()
      return
    }
    if (message.stamp.epoch !== bucket.epoch) bucket.flush(message.stamp.epoch)
    this.#apply(bucket, message)
    if (message.origin !== this.processId && message.ack !== undefined) this.#confirm(bucket, message)
  }

  #confirm(bucket: Bucket, message: InvalidationMessage): void {
    this.#desk.confirm(bucket.layout.ack(message.origin), message.ack!, (channel, text) => {
      bucket.node.send(['PUBLISH', channel, text], { deadline: DEADLINES.write }).catch(() => {
        // The invalidator waits until our trust must have lapsed instead.
      })
    })
  }

  #apply(bucket: Bucket, message: InvalidationMessage): void {
    const { stamp, keys, tags } = message
    if (message.all) {
      this.#copies?.drop(bucket)
      bucket.noteAny(stamp.seq)
      return
    }
    if (message.pattern !== undefined) {
      bucket.noteAny(stamp.seq)
      this.#copies?.dropMatching(bucket, compileGlob(message.pattern))
    }
    bucket.note([...keys.map(keyName), ...tags.map(tagName)], stamp.seq)
    this.#copies?.invalidate(bucket, message, message.soft, stamp)
  }

  /**
   * Applies what this process itself committed, before its promise resolves. Own reply and stream
   * are unordered, so it may only take copies away: the epoch stays as the stream told it.
   */
  applyOwn(bucket: Bucket, message: Omit<InvalidationMessage, 'stamp'>, stamp: Stamp): void {
    if (stamp.epoch !== bucket.epoch && bucket.epoch !== '') bucket.flush('')
    this.#apply(bucket, { ...message, stamp })
  }

  /** The server did not confirm: take our own copies away all the same. */
  dropOwn(bucket: Bucket, what: Invalidation): void {
    if (what.all) this.#copies?.drop(bucket)
    this.#copies?.discard(bucket, { keys: what.keys ?? [], tags: what.tags ?? [] })
  }

  /**
   * Announces an invalidation to be sent: acks may come before its own reply does. With `commit`
   * nobody waits for them, so none is asked for: it would cost a command per process.
   */
  announce(
    message: Omit<InvalidationMessage, 'stamp' | 'origin' | 'ack'>,
    wait: Wait,
  ): {
    readonly message: Omit<InvalidationMessage, 'stamp'>
    readonly text: string
    readonly ack: string | undefined
  } {
    const ack = wait === 'all' ? this.#desk.open() : undefined
    const full = { ...message, origin: this.processId, ack }
    return { message: full, text: encodeMessage(full), ack }
  }

  /** Resolves when every process that may hold a copy has dropped it or lost its trust. */
  async barrier(ack: string, commit: Commit): Promise<void> {
    const others = commit.live.filter((id) => id !== this.processId)
    // The list of holders is younger than W: whoever is not on it may still trust its copies.
    const unknown = commit.born + TRUST_WITH_MARGIN_MS - commit.now
    const heard = this.#desk.wait(ack, others, TRUST_WITH_MARGIN_MS)
    await (unknown > 0 ? Promise.all([heard, sleep(this.#clock, unknown)]) : heard)
  }

  /** The invalidation failed or nobody waits: forget its acks. */
  dismiss(ack: string | undefined): void {
    if (ack !== undefined) this.#desk.close(ack)
  }

  async close(): Promise<void> {
    const goodbyes: Promise<unknown>[] = []
    for (const bucket of this.#watches.keys()) {
      const { node, layout } = bucket
      if (this.#copies && node.state === 'ready') {
        goodbyes.push(node.send(['HDEL', layout.members, this.processId], { deadline: DEADLINES.read }))
      }
    }
    for (const bucket of [...this.#watches.keys()]) this.unwatch(bucket)
    // Without the goodbye, invalidators wait for us as for a dead process: bounded by W.
    await Promise.allSettled(goodbyes)
  }
}
