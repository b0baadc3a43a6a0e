import type { HeldParcel } from './backend.ts'
import type { StoredMessage } from './parcel-text.ts'

/** A parcel in our hands and how many of its messages are not over yet. */
export interface Holding {
  readonly parcel: HeldParcel
  left: number
}

/** One message on its way through a worker. Times are of the monotonic clock. */
export interface Item {
  readonly message: StoredMessage
  readonly holding: Holding
  readonly position: number
  /** Messages with the same one follow each other; `undefined` where order does not matter. */
  readonly order: string | undefined
  readonly arrivedAt: number
  /** Its parcel was delivered so often that one of its messages may be what kills workers. */
  readonly isSuspect: boolean
  isOver: boolean
  isInHand: boolean
  /** Calls of the handler that it was part of. */
  calls: number
  /** Failures that are its own: alone in the call, or named by the handler. */
  failures: number
  /** When it first failed alone, and how many messages of the partition had succeeded by then. */
  firstFailure: { readonly at: number; readonly successes: number } | undefined
  /** It is not tried again before. */
  notBefore: number
  /** Largest batch it may be in: lowered as a batch that failed is divided. */
  cap: number
  lastReason: string
  /** Why it is to be given up, once that is decided. */
  doom: string | undefined
}

/** Parcels delivered so often are tried message by message. */
const SUSPECT = 3
/** Room for messages between the positions of two parcels: more than a parcel holds. */
const POSITIONS = 16_384

export function itemOf(message: StoredMessage, holding: Holding, index: number, now: number): Item {
  const isSuspect = holding.parcel.deliveries >= SUSPECT
  // States of one thing follow each other too, or an older one could be retried after a newer one.
  const order = message.k ?? (message.c === undefined ? undefined : `state ${message.c}`)
  return {
    message,
    holding,
    position: holding.parcel.position * POSITIONS + index,
    order,
    arrivedAt: now,
    isSuspect,
    isOver: false,
    isInHand: false,
    calls: 0,
    failures: 0,
    firstFailure: undefined,
    notBefore: 0,
    cap: isSuspect ? 1 : Number.POSITIVE_INFINITY,
    lastReason: '',
    doom: message.x,
  }
}

/**
 * The messages of one partition that a worker has, in order. Picks batches: a message whose key has
 * one before it that waits for its retry is passed over, others of other keys are not.
 */
export class Line {
  #items: Item[] = []
  readonly #states = new Map<string, Item>()
  readonly #ids = new Set<string>()

  get length(): number {
    return this.#items.length
  }

  /** False when one with its id is here already. */
  add(item: Item): boolean {
    const { i, u, c } = item.message
    if (u) {
      if (this.#ids.has(i)) return false
      this.#ids.add(i)
    }
    if (c !== undefined) this.#states.set(c, item)
    this.#items.push(item)
    return true
  }

  /** Whether a newer state of the same thing waits behind this one. */
  isSuperseded(item: Item): boolean {
    const { c } = item.message
    return c !== undefined && this.#states.get(c) !== item
  }

  /** Older states that a newer one makes needless and that nobody works on now. */
  superseded(): Item[] {
    if (this.#states.size === 0) return []
    return this.#items.filter((item) => !item.isOver && !item.isInHand && this.isSuperseded(item))
  }

  /** The next batch, oldest first, and when to look again if it is empty. */
  pick(size: number, now: number): { batch: Item[]; nextAt: number } {
    const batch: Item[] = []
    const blocked = new Set<string>()
    let limit = size
    let nextAt = Number.POSITIVE_INFINITY
    for (const item of this.#items) {
      if (item.isOver || item.isInHand) continue
      if (item.order !== undefined && blocked.has(item.order)) continue
      if (item.notBefore > now) {
        nextAt = Math.min(nextAt, item.notBefore)
        if (item.order !== undefined) blocked.add(item.order)
        continue
      }
      if (batch.length + 1 > Math.min(limit, item.cap)) break
      limit = Math.min(limit, item.cap)
      batch.push(item)
      if (batch.length >= limit) break
    }
    return { batch, nextAt }
  }

  /**
   * One message alone, the one that failed least: while everything fails, each gets its turn, so that
   * one that can succeed shows that it is the others' own fault.
   */
  probe(now: number): { batch: Item[]; nextAt: number } {
    const seen = new Set<string>()
    let best: Item | undefined
    let nextAt = Number.POSITIVE_INFINITY
    for (const item of this.#items) {
      if (item.isOver || item.isInHand) continue
      if (item.order !== undefined) {
        if (seen.has(item.order)) continue
        seen.add(item.order)
      }
      if (item.notBefore > now) nextAt = Math.min(nextAt, item.notBefore)
      else if (!best || item.failures < best.failures) best = item
    }
    return { batch: best ? [best] : [], nextAt }
  }

  /** Forgets what is over. */
  sweep(): void {
    if (!this.#items.some((item) => item.isOver)) return
    this.#items = this.#items.filter((item) => {
      if (!item.isOver) return true
      const { i, u, c } = item.message
      if (u) this.#ids.delete(i)
      if (c !== undefined && this.#states.get(c) === item) this.#states.delete(c)
      return false
    })
  }
}
