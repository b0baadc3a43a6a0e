import { TickBatch } from '../../base/tick-batch.ts'
import { Lru } from '../../memory/lru.ts'
import type { Reply } from '../../redis/link.ts'
import type { Body, Entry, ReadReply, Stamp } from '../store.ts'
import type { Bucket } from './bucket.ts'
import type { LocalCopies, Sighting } from './local-copies.ts'
import type { StoreDeadlines } from './settings.ts'
import type { StoreTime } from './store-time.ts'
import type { Tally } from './tally.ts'
import { type Header, isBinary, parseHeader, toEntry } from './wire.ts'

interface Read {
  readonly key: string
  /** Tags that the entry must carry to count. */
  readonly wanted: readonly string[]
  /** Tags whose versions are fetched with it: the wanted ones and those learned from its header. */
  readonly tags: readonly string[]
  readonly binary: boolean
}

/** What a first read taught about a key, so that the next one needs a single round trip. */
interface Lesson {
  readonly tags: readonly string[]
  readonly binary: boolean
}

type Verdict = ReadReply | { readonly state: 'again'; readonly lesson: Lesson }

/** The bucket's word: which epoch the server is in, and how far. */
interface Word extends Stamp {
  readonly incarnation: string
}

const MAX_BATCH = 1_000
const MAX_ROUNDS = 4
const MISS: ReadReply = { state: 'miss' }
const LESSONS = { maxEntries: 50_000, maxBytes: 16 * 1024 * 1024 }

/**
 * The hit path: one `MGET w e… t…` for all reads of a tick, validated here. The same check in Lua
 * would cost the server five times as much per hit.
 */
export class Reader {
  readonly #copies: LocalCopies | undefined
  readonly #time: StoreTime
  readonly #tally: Tally
  readonly #deadlines: StoreDeadlines
  readonly #lessons = new Lru<Lesson>(LESSONS)
  readonly #batches = new Map<Bucket, TickBatch<Read, Verdict>>()
  /** Reads of this tick by key; a caller may share one only until it leaves. */
  readonly #unsent = new Map<
    string,
    { readonly wanted: readonly string[]; readonly reply: Promise<ReadReply> }
  >()
  #sends = 0
  #word: { readonly text: string; readonly parsed: Word | undefined } = { text: '', parsed: undefined }

  constructor(copies: LocalCopies | undefined, time: StoreTime, tally: Tally, deadlines: StoreDeadlines) {
    this.#copies = copies
    this.#time = time
    this.#tally = tally
    this.#deadlines = deadlines
  }

  read(bucket: Bucket, key: string, wanted: readonly string[]): Promise<ReadReply> {
    // Ten thousand callers who miss one key in one tick are one read, as long as it is not sent.
    const unsent = this.#unsent.get(key)
    if (unsent !== undefined && sameTags(unsent.wanted, wanted)) return unsent.reply
    const sends = this.#sends
    const reply = this.#readInRounds(bucket, key, wanted)
    // A batch that was full has left already, this read with it.
    if (unsent === undefined && sends === this.#sends) this.#unsent.set(key, { wanted, reply })
    return reply
  }

  async #readInRounds(bucket: Bucket, key: string, wanted: readonly string[]): Promise<ReadReply> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const lesson = this.#lessons.get(key)
      const tags = lesson === undefined ? wanted : union(wanted, lesson.tags)
      const verdict = await this.#batch(bucket).add({ key, wanted, tags, binary: lesson?.binary ?? false })
      if (verdict.state !== 'again') return verdict
      this.#lessons.set(key, verdict.lesson, key.length + 64 + 32 * verdict.lesson.tags.length)
    }
    // Its tags change faster than they can be read: as good as absent.
    return MISS
  }

  /** The wanted tags and those that the entry had when it was last seen. */
  tagsToAsk(key: string, wanted: readonly string[]): readonly string[] {
    const lesson = this.#lessons.get(key)
    return lesson === undefined ? wanted : union(wanted, lesson.tags)
  }

  #batch(bucket: Bucket): TickBatch<Read, Verdict> {
    let batch = this.#batches.get(bucket)
    if (batch === undefined) {
      batch = new TickBatch(this.#time.clock, MAX_BATCH, (reads) => this.#send(bucket, reads))
      this.#batches.set(bucket, batch)
    }
    return batch
  }

  async #send(bucket: Bucket, reads: readonly Read[]): Promise<Verdict[]> {
    this.#sends++
    for (const read of reads) this.#unsent.delete(read.key)
    const text = reads.filter((read) => !read.binary)
    if (text.length === reads.length || text.length === 0) {
      return this.#ask(bucket, reads, text.length === 0)
    }
    const bytes = reads.filter((read) => read.binary)
    const [fromText, fromBytes] = await Promise.all([
      this.#ask(bucket, text, false),
      this.#ask(bucket, bytes, true),
    ])
    let t = 0
    let b = 0
    return reads.map((read) => (read.binary ? fromBytes[b++]! : fromText[t++]!))
  }

  async #ask(bucket: Bucket, reads: readonly Read[], binary: boolean): Promise<Verdict[]> {
    const { layout, flushes, node } = bucket
    const command = ['MGET', layout.word]
    for (const read of reads) command.push(layout.entry(read.key))
    const places = new Map<string, number>()
    for (const read of reads) {
      for (const tag of read.tags) {
        if (places.has(tag)) continue
        places.set(tag, command.length - 1)
        command.push(layout.tag(tag))
      }
    }
    const { incarnation } = node
    let reply: Reply[]
    try {
      const options = { deadline: this.#deadlines.read, as: binary ? 'bytes' : 'text' } as const
      reply = (await node.send(command, options)) as Reply[]
    } catch (error) {
      const cause = this.#tally.failed(error)
      return reads.map(({ key }) => ({ state: 'down', cause, leftover: this.leftover(key) }))
    }
    const word = this.#parseWord(reply[0] as Body | null)
    // A word of another incarnation was written before a restart, a failover or a rollback.
    if (word === undefined || word.incarnation !== incarnation) return reads.map(() => MISS)
    const seen: Sighting = { bucket, flushes, epoch: word.epoch, seq: word.seq }
    const shift = this.#time.shift(node)
    const now = this.#time.now()
    const versions = (tag: string): Body | null | undefined => {
      const place = places.get(tag)
      return place === undefined ? undefined : (reply[place] as Body | null)
    }
    return reads.map((read, i) => this.#judge(read, reply[i + 1] as Body | null, versions, seen, shift, now))
  }

  #judge(
    read: Read,
    raw: Body | null,
    versions: (tag: string) => Body | null | undefined,
    seen: Sighting,
    shift: number,
    now: number,
  ): Verdict {
    if (raw === null) return MISS
    const header = parseHeader(raw)
    if (header === undefined) {
      this.#tally.corrupt++
      return MISS
    }
    if (header.epoch !== seen.epoch || header.stale + shift <= now) return MISS
    const binary = isBinary(header.flags)
    const validity = judgeTags(header, versions)
    if (validity === 'unknown' || (binary && typeof raw === 'string')) {
      return { state: 'again', lesson: { tags: header.tags, binary } }
    }
    if (validity === 'invalid') return MISS
    if (read.wanted.length > 0 && !read.wanted.every((tag) => header.tags.includes(tag))) return MISS
    const { journal } = seen.bucket
    if (journal.size > 0 && journal.blocks(read.key, header.tags)) {
      return { state: 'down', cause: this.#tally.journalled(), leftover: undefined }
    }
    const entry = toEntry(read.key, raw, header, shift, validity === 'soft')
    this.#copies?.offer(read.key, entry, seen)
    return { state: 'found', entry }
  }

  /** For stale-if-error while Redis cannot be asked. */
  leftover(key: string): Entry | undefined {
    return this.#copies?.leftover(key, this.#time.now())
  }

  /** The word is the same for thousands of reads in a row: parse it once. */
  #parseWord(raw: Body | null): Word | undefined {
    if (raw === null) return undefined
    const text = typeof raw === 'string' ? raw : raw.toString('latin1')
    if (text !== this.#word.text) this.#word = { text, parsed: parseWord(text) }
    return this.#word.parsed
  }
}

export function parseWord(text: string): Word | undefined {
  const [epoch, seq, incarnation, floor] = text.split(':')
  if (!epoch || floor === undefined) return undefined
  return { epoch, seq: Number(seq), incarnation: incarnation! }
}

/** Valid means: every tag of the entry has a version of this epoch that is not later than it. */
export function judgeTags(
  header: Header,
  versions: (tag: string) => Body | null | undefined,
): 'valid' | 'soft' | 'invalid' | 'unknown' {
  let soft = false
  for (const tag of header.tags) {
    const raw = versions(tag)
    if (raw === undefined) return 'unknown'
    // Missing means miss: an evicted or flushed version can never make an old entry valid again.
    if (raw === null) return 'invalid'
    const [epoch, hard, softly] = (typeof raw === 'string' ? raw : raw.toString('latin1')).split(':')
    if (epoch !== header.epoch || Number(hard) > header.seq) return 'invalid'
    if (Number(softly) > header.seq) soft = true
  }
  return soft ? 'soft' : 'valid'
}

function sameTags(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((tag, i) => tag === b[i]))
}

function union(a: readonly string[], b: readonly string[]): readonly string[] {
  if (a.length === 0) return b
  if (b.length === 0) return a
  return [...new Set([...a, ...b])]
}
