import { sleep, type Timer } from '../../base/clock.ts'
import { NotAcknowledged } from '../../base/errors.ts'
import type { Arg, Reply } from '../../redis/link.ts'
import type { GateContext, RedisNode } from '../../redis/port.ts'
import type { Draft, Invalidation, Mark, Wait } from '../store.ts'
import type { Bucket } from './bucket.ts'
import { type Coherence, type Commit, parseCommit } from './coherence.ts'
import type { MemoryGuard } from './memory-guard.ts'
import { INVALIDATE, SET, TOUCH } from './scripts.ts'
import { HEARTBEAT_MS, SILENT_MS, type StoreDeadlines, TRUST_WITH_MARGIN_MS } from './settings.ts'
import type { StoreTime } from './store-time.ts'
import type { Tally } from './tally.ts'
import { headerRest } from './wire.ts'
import { lateAfter, ms, ttl } from './writer.ts'

type Mode = 'hard' | 'soft' | 'clear' | 'pattern' | 'fence' | 'lift'

interface Step {
  readonly mode: Mode
  readonly keys: readonly string[]
  readonly tags: readonly string[]
  readonly pattern?: string
  /** Token and life of a `mutate` fence. */
  readonly fence?: { readonly token: string; readonly ms: number }
}

/** Redis unpacks at most some thousands of arguments; this stays far below and keeps pauses short. */
const NAMES_PER_STEP = 250

type Eval = Pick<RedisNode, 'eval' | 'incarnation'>

/** The write path: what takes values away, and what replaces them. */
export class Invalidator {
  readonly #coherence: Coherence
  readonly #guard: MemoryGuard
  readonly #time: StoreTime
  readonly #tally: Tally
  readonly #deadlines: StoreDeadlines
  readonly #newId: () => string
  readonly #retries = new Map<Bucket, Timer>()
  #closed = false

  constructor(parts: {
    coherence: Coherence
    guard: MemoryGuard
    time: StoreTime
    tally: Tally
    deadlines: StoreDeadlines
    newId: () => string
  }) {
    this.#coherence = parts.coherence
    this.#guard = parts.guard
    this.#time = parts.time
    this.#tally = parts.tally
    this.#deadlines = parts.deadlines
    this.#newId = parts.newId
  }

  /** Resolves at commit plus, with `all`, the barrier. Unconfirmed, it goes to the journal. */
  async run(bucket: Bucket, step: Step, wait: Wait): Promise<void> {
    const started = this.#time.clock.mono()
    await this.#afterFills()
    try {
      await this.#commit(bucket, bucket.node, step, wait, this.#deadlines.invalidate)
    } catch (error) {
      // A fence that does not stand is not worth a wait: what follows its transaction is what counts.
      const patience = step.mode === 'fence' ? 0 : this.#deadlines.invalidate
      const left = patience - (this.#time.clock.mono() - started)
      await this.#recover(bucket, invalidationOf(step), wait, left, this.#tally.failed(error))
    }
  }

  /**
   * A fill of this tick leaves at its end. What was asked for after it must not overtake it, or the
   * value that a caller just loaded would be refused, and `expire` would find nothing to expire.
   */
  #afterFills(): Promise<void> {
    return new Promise((resolve) => this.#time.clock.endOfTick(resolve))
  }

  async #commit(bucket: Bucket, via: Eval, step: Step, wait: Wait, deadline: number): Promise<void> {
    for (let i = 0; i === 0 || i < Math.max(step.keys.length, step.tags.length); i += NAMES_PER_STEP) {
      const keys = step.keys.slice(i, i + NAMES_PER_STEP)
      const tags = step.tags.slice(i, i + NAMES_PER_STEP)
      // Only the first part may clear or void; the rest are plain names.
      const mode = i > 0 && (step.mode === 'clear' || step.mode === 'pattern') ? 'hard' : step.mode
      await this.#commitPart(bucket, via, { ...step, mode, keys, tags }, wait, deadline)
    }
  }

  async #commitPart(bucket: Bucket, via: Eval, step: Step, wait: Wait, deadline: number): Promise<void> {
    const { layout } = bucket
    const names = { keys: step.keys, tags: step.tags }
    const { message, text, ack } = this.#coherence.announce(
      { ...names, soft: step.mode === 'soft', all: step.mode === 'clear', pattern: step.pattern },
      wait,
    )
    const keys = [layout.word, layout.members]
    for (const key of step.keys) keys.push(layout.entry(key), layout.lease(key), layout.fenceOfKey(key))
    for (const tag of step.tags) keys.push(layout.tag(tag), layout.fenceOfTag(tag))
    const args = [via.incarnation, this.#newId(), layout.channel, text, String(SILENT_MS), step.mode]
    args.push(String(step.keys.length), String(step.tags.length))
    args.push(step.fence?.token ?? '', ms(step.fence?.ms ?? 0))
    let commit: Commit
    try {
      commit = parseCommit((await via.eval(INVALIDATE, keys, args, { deadline })) as Reply[])
    } catch (error) {
      this.#coherence.dismiss(ack)
      throw error
    }
    this.#coherence.applyOwn(bucket, message, commit.stamp)
    if (ack !== undefined) await this.#coherence.barrier(ack, commit)
  }

  /** Journals it, and still resolves if a replay confirms it within what is `left` of the deadline. */
  async #recover(bucket: Bucket, what: Invalidation, wait: Wait, left: number, cause: Error): Promise<void> {
    this.#coherence.dropOwn(bucket, what)
    const replayed = bucket.journal.add(what)
    this.#retryLater(bucket)
    const giveUp = new AbortController()
    const confirmed = await Promise.race([
      replayed.then(() => true),
      sleep(this.#time.clock, Math.max(0, left), giveUp.signal).then(
        () => false,
        () => true,
      ),
    ])
    giveUp.abort()
    if (!confirmed) {
      this.#tally.invalidationsUnacknowledged++
      throw new NotAcknowledged('Redis did not confirm the invalidation in time', { cause })
    }
    // The replay does not collect confirmations: wait until nobody can trust an older copy.
    if (wait === 'all') await sleep(this.#time.clock, TRUST_WITH_MARGIN_MS)
  }

  /** Sends the journal on a connection that is not open for traffic yet: first of all commands. */
  async replay(bucket: Bucket, via: GateContext): Promise<void> {
    const batch = bucket.journal.snapshot()
    if (bucket.journal.size === 0) return
    const deadline = this.#deadlines.invalidate
    if (batch.all) {
      await this.#commit(bucket, via, { mode: 'clear', keys: [], tags: [] }, 'commit', deadline)
    }
    for (const mode of ['hard', 'soft'] as const) {
      const { keys, tags } = batch[mode]
      if (keys.length + tags.length === 0) continue
      await this.#commit(bucket, via, { mode, keys, tags }, 'commit', deadline)
    }
    bucket.journal.settle(batch)
  }

  /** A command that was lost on a connection that lives on is sent again here. */
  #retryLater(bucket: Bucket): void {
    if (this.#closed || this.#retries.has(bucket)) return
    const retry = async (): Promise<void> => {
      this.#retries.delete(bucket)
      const { node } = bucket
      if (node.state === 'ready') {
        try {
          await this.replay(bucket, node)
        } catch (error) {
          this.#tally.failed(error)
        }
      }
      if (bucket.journal.size > 0) this.#retryLater(bucket)
    }
    this.#retries.set(
      bucket,
      this.#time.clock.after(HEARTBEAT_MS, () => void retry()),
    )
  }

  /** Invalidate and store in one step. */
  async set(
    bucket: Bucket,
    writes: readonly { key: string; draft: Draft }[],
    options: { wait: Wait; mark?: Mark | undefined },
  ): Promise<('stored' | 'refused' | 'bypassed')[]> {
    await this.#afterFills()
    const { layout, node } = bucket
    if (this.#guard.isTight(node)) {
      await this.run(bucket, { mode: 'hard', keys: writes.map(({ key }) => key), tags: [] }, options.wait)
      return writes.map(() => {
        this.#tally.bypassedFills++
        return 'bypassed'
      })
    }
    const deadline = this.#deadlines.write
    const names = { keys: writes.map((write) => write.key), tags: [] }
    const { message, text, ack } = this.#coherence.announce({ ...names, ...HARD }, options.wait)
    const mark = options.mark?.stamps[layout.bucket]
    const keys = [layout.word, layout.members]
    const args: Arg[] = [node.incarnation, this.#newId(), lateAfter(node, deadline), layout.channel, text]
    args.push(String(SILENT_MS), options.mark ? (mark?.epoch ?? '-') : '', String(mark?.seq ?? 0))
    args.push(String(writes.length))
    for (const { key, draft } of writes) {
      keys.push(layout.entry(key), layout.lease(key), layout.fenceOfKey(key))
      for (const tag of draft.tags) keys.push(layout.tag(tag), layout.fenceOfTag(tag))
      args.push(ttl(draft), ms(draft.staleMs), headerRest(draft), draft.body, String(draft.tags.length))
    }
    let commit: Commit
    let verdicts: string[]
    try {
      const reply = (await node.eval(SET, keys, args, { deadline })) as [string[], Reply[]]
      verdicts = reply[0]
      commit = parseCommit(reply[1])
    } catch (error) {
      this.#coherence.dismiss(ack)
      // Unsure whether it was stored: the old value must not come back, so it is taken away.
      const cause = this.#tally.failed(error)
      await this.#recover(bucket, { keys: writes.map((write) => write.key) }, options.wait, deadline, cause)
      return writes.map(() => 'bypassed')
    }
    this.#coherence.applyOwn(bucket, message, commit.stamp)
    if (ack !== undefined) await this.#coherence.barrier(ack, commit)
    return verdicts.map((verdict) => {
      if (verdict === 'S') return 'stored'
      if (verdict === 'X') return 'refused'
      this.#tally.bypassed('OOM')
      return 'bypassed'
    })
  }

  /** Another life for a present entry. False = absent by now. */
  async touch(
    bucket: Bucket,
    key: string,
    tags: readonly string[],
    ttlMs: number,
    staleMs: number,
  ): Promise<boolean> {
    const { layout, node } = bucket
    const deadline = this.#deadlines.write
    const { message, text } = this.#coherence.announce({ keys: [key], tags: [], ...HARD }, 'commit')
    const keys = [layout.word, layout.entry(key), ...tags.map((tag) => layout.tag(tag))]
    const args = [node.incarnation, this.#newId(), lateAfter(node, deadline)]
    args.push(ms(Math.max(1, ttlMs)), ms(staleMs), layout.channel, text)
    const reply = (await node.eval(TOUCH, keys, args, { deadline })) as [string, string] | null
    if (reply === null) return false
    this.#coherence.applyOwn(bucket, message, { epoch: reply[0], seq: Number(reply[1]) })
    return true
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#retries.values()) timer.cancel()
    this.#retries.clear()
  }
}

const HARD = { soft: false, all: false, pattern: undefined } as const

/** What has to be journalled when a step fails. A fence that may stand lapses by itself. */
function invalidationOf(step: Step): Invalidation {
  // A pattern cannot be looked up while the server is away: everything, rather than too little.
  if (step.mode === 'clear' || step.mode === 'pattern') return { all: true }
  return { keys: step.keys, tags: step.tags, soft: step.mode === 'soft' }
}
