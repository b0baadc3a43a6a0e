/**
 * The port between the front (checks, ids, group commit, back-pressure, batches, retries, dead
 * letters, events: written once) and the place where parcels wait: the local file of embedded mode,
 * or BullMQ. A backend stores parcels, hands them out in order per partition to one owner at a time,
 * and forgets them when settled. It never looks inside a parcel's text and never calls a handler.
 */

/** Messages of one partition that travel and are stored together: all or none. */
export interface Parcel {
  /** Unique, made by the front: 16 characters of base64url after a letter. Putting it twice may store it twice. */
  readonly id: string
  readonly partition: number
  /** JSON; opaque to the backend. */
  readonly text: string
  /** Messages inside. */
  readonly count: number
  /** Wall clock of the oldest message inside, ms since 1970. */
  readonly at: number
}

/** A parcel in the hands of the partition's owner. */
export interface HeldParcel {
  /** The backend's own name of it; unique within the partition. */
  readonly handle: string
  /** Place in the partition's order: rises strictly from one parcel to the next, over all producers. */
  readonly position: number
  readonly text: string
  readonly count: number
  /** 1 at the first delivery; each owner that died or gave up while it held the parcel adds one. */
  readonly deliveries: number
  /** What `note` wrote at an earlier delivery. */
  readonly note: string | undefined
}

export interface Settlement {
  readonly handle: string
  /** Messages inside, for the count. */
  readonly count: number
}

/**
 * Exclusive right to a partition, until released or lost. The backend renews it by itself. Every
 * method rejects with QueueUnavailable once the lease is lost; `lost` is aborted first.
 */
export interface PartitionLease {
  readonly partition: number
  /** Rises with every owner of this partition, over restarts too. */
  readonly fence: number
  /** Aborted when the lease is lost or can no longer be proven. Not by `release`. */
  readonly lost: AbortSignal
  /**
   * Up to `most` parcels, oldest first, in order: first those that an earlier owner held and did not
   * settle, then what waits. Fewer than `most`, or none: nothing more waits, or the queue is paused.
   * Taken parcels are held until settled; when the lease ends, the unsettled go back to the front in
   * their order.
   */
  take(most: number): Promise<readonly HeldParcel[]>
  /**
   * Forgets parcels. Durable at least as `memory`. Ids in `done` are remembered for the dedupe
   * window first, so that a later duplicate is known by `seen`.
   */
  settle(parcels: readonly Settlement[], done: readonly string[]): Promise<void>
  /** Which of these ids were settled within the dedupe window. */
  seen(ids: readonly string[]): Promise<ReadonlySet<string>>
  /** Writes a few words onto a held parcel, for the next owner should this one die. */
  note(handle: string, note: string): Promise<void>
  /** Gives the partition back; unsettled parcels return to the front in their order. Idempotent. */
  release(): Promise<void>
}

/** A message that was given up, as stored. */
export interface Letter {
  /** Unique: the message's own id. Burying it twice is once. */
  readonly id: string
  /** JSON of the letter; opaque to the backend. */
  readonly text: string
  readonly partition: number
  /** Wall clock, ms since 1970. */
  readonly diedAt: number
}

export interface BackendStats {
  /** Messages stored and not settled, the held ones included. */
  readonly depth: number
  /** Wall clock of the oldest unsettled parcel, ms since 1970; undefined when there is none. */
  readonly oldestAt: number | undefined
  readonly dead: number
  readonly paused: boolean
  /** Live worker processes, this one included if it works. */
  readonly workers: number
}

export interface QueueBackend {
  readonly kind: 'embedded' | 'bullmq'
  /**
   * Resolves when the backend can be used; may be called again after a rejection. Fixes the number of
   * partitions at first use.
   * @throws QueueMismatch when the queue exists with another number, or the durability cannot be had;
   * QueueUnavailable when the server cannot be reached now
   */
  open(): Promise<void>
  /**
   * Stores parcels in order; one verdict per parcel, when durable at the level of the queue:
   * undefined is stored, QueueUnavailable certainly not stored, QueueUncertain unknown. Parcels of
   * one call that share a partition keep their order.
   */
  put(parcels: readonly Parcel[]): Promise<readonly (Error | undefined)[]>
  /** Tries to become the owner; undefined when somebody else is. */
  lease(partition: number): Promise<PartitionLease | undefined>
  /** Says that this process works on the queue; answers the number of live workers. Called about once a second. */
  beat(): Promise<number>
  /**
   * Resolves when one of the partitions may have something to take, or after `ms`, whichever is
   * first; at once when the signal aborts. Waking for nothing is allowed, sleeping through is not
   * longer than `ms`.
   */
  wait(partitions: readonly number[], ms: number, signal: AbortSignal): Promise<void>
  bury(letters: readonly Letter[]): Promise<void>
  /** Oldest first. */
  letters(offset: number, count: number): Promise<readonly Letter[]>
  letter(id: string): Promise<Letter | undefined>
  /** True for each that was there and is no more. */
  unbury(ids: readonly string[]): Promise<readonly boolean[]>
  /** Over all processes, until resumed: `take` answers nothing. Adding goes on. */
  pause(): Promise<void>
  resume(): Promise<void>
  stats(): Promise<BackendStats>
  /** Drops what waits (not what is held, not dead letters). Answers the number of messages dropped. */
  drop(): Promise<number>
  /** Releases everything. Idempotent; never throws. */
  close(): Promise<void>
}

/**
 * Where parcels go while Redis is away: an append-only file. Written by one process.
 */
export interface ParcelLog {
  /** Parcels and messages in it that were not replayed. */
  readonly parcels: number
  readonly messages: number
  readonly bytes: number
  /** Wall clock of the oldest parcel, ms since 1970. */
  readonly oldestAt: number | undefined
  /**
   * Resolves when all are written (and fsynced, by option), in order.
   * @throws QueueFull with bound 'spill' when the bound on bytes would be passed, QueueUnavailable
   * when the disk refuses; nothing of them is kept then
   */
  append(parcels: readonly Parcel[]): Promise<void>
  /**
   * Hands what is there to `send`, oldest first, some parcels at a time, and forgets them when it
   * resolves; stops at its first rejection, keeping the rest, and rejects with it. Appends meanwhile
   * queue up behind. One replay at a time.
   */
  replay(send: (parcels: readonly Parcel[]) => Promise<void>): Promise<void>
  /** Flushes and closes; what was not replayed is found by the next process that opens the file. */
  close(): Promise<void>
}
