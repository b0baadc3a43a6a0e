import type { Patch } from './bundle.ts'

/** One rule of the protocol, switched off, and where that shows quickly. */
export interface Mutant {
  readonly rule: string
  readonly patches: readonly Patch[]
  /** `mix/mode`: where it is looked for. */
  readonly where: string
  /** First seed to try, and how many at most. */
  readonly from: number
  readonly seeds: number
}

const SCRIPTS = 'cache/redis-store/scripts.ts'
const COHERENCE = 'cache/redis-store/coherence.ts'
const COPIES = 'cache/redis-store/local-copies.ts'
const BUCKET = 'cache/redis-store/bucket.ts'
const READER = 'cache/redis-store/reader.ts'
const LOAD = 'cache/load.ts'
const RUNNING = 'cache/running-load.ts'

const patch = (file: string, find: string, replace: string): Patch => ({ file, find, replace })

const mutant = (rule: string, where: string, from: number, seeds: number, ...patches: Patch[]): Mutant => ({
  rule,
  where,
  from,
  seeds,
  patches,
})

/**
 * Every rule that keeps a reader from an acknowledged past. The gate fails when one of them can be
 * switched off unnoticed, and when a snippet no longer stands in the source.
 */
export const MUTANTS: readonly Mutant[] = [
  // The entry and its stamp
  mutant(
    'an invalidation raises the sequence',
    'calm/static',
    0,
    100,
    patch(
      SCRIPTS,
      "if mode == 'clear' then E, s, p = fresh_epoch, 0, 0 else s = s + 1 end",
      "if mode == 'clear' then E, s, p = fresh_epoch, 0, 0 end",
    ),
  ),
  mutant(
    'a clear begins a new epoch',
    'calm/rich',
    0,
    100,
    patch(SCRIPTS, "if mode == 'clear' then E, s, p = fresh_epoch, 0, 0 else s = s + 1 end", 's = s + 1'),
  ),
  mutant(
    'an epoch is unique, also after the word was lost',
    'evict/static',
    0,
    100,
    patch(SCRIPTS, 'local inc, fresh_epoch = ARGV[1], ARGV[2]', "local inc, fresh_epoch = ARGV[1], 'same'"),
  ),
  mutant(
    'the epoch is bound to the server incarnation',
    'failover/static',
    0,
    100,
    patch(SCRIPTS, 'if e_ and i_ == inc then E, s, p', 'if e_ then E, s, p'),
    patch(
      READER,
      'if (word === undefined || word.incarnation !== incarnation) return reads.map(() => MISS)',
      'if (word === undefined) return reads.map(() => MISS)',
    ),
  ),
  mutant(
    'the incarnation is more than run_id',
    'pingpong/static',
    0,
    100,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text
    patch('redis/identity.ts', '.${identity.replid}`', '`'),
  ),
  mutant(
    'a deleted key loses its entry',
    'calm/static',
    0,
    100,
    patch(
      SCRIPTS,
      "  else\n    redis.call('DEL', ek)\n  end\n  fence(KEYS[k + 3])",
      '  end\n  fence(KEYS[k + 3])',
    ),
  ),
  mutant(
    'a deleted key loses its lease',
    'calm/static',
    0,
    100,
    patch(SCRIPTS, "  redis.call('DEL', lk)\n  if mode == 'soft' then", "  if mode == 'soft' then"),
  ),
  mutant(
    'an invalidated tag loses its version',
    'calm/static',
    0,
    100,
    patch(SCRIPTS, "  else\n    redis.call('DEL', tk)\n  end", '  end'),
  ),

  // Fill
  mutant(
    'a fill needs its lease',
    'calm/static',
    0,
    100,
    patch(
      SCRIPTS,
      "local held = redis.call('GET', lk) == token .. ':' .. le .. ':' .. ls",
      'local held = true',
    ),
  ),
  mutant(
    'a fill needs the epoch of its lease',
    'calm/busy',
    0,
    100,
    patch(SCRIPTS, 'local ok = held and le == E and', 'local ok = held and'),
  ),
  mutant(
    'a fill whose tag has no version needs that nothing moved',
    'calm/dynamic',
    0,
    100,
    patch(SCRIPTS, '        if s ~= ls then ok = false end\n        missing', '        missing'),
  ),
  mutant(
    'a fill heeds newer versions of its tags',
    'calm/slow',
    0,
    100,
    patch(SCRIPTS, '        if h > ls or f > ls then ok = false end\n        present', '        present'),
  ),
  mutant(
    'a fill heeds patterns invalidated meanwhile',
    'calm/busy',
    0,
    100,
    patch(SCRIPTS, 'held and le == E and ls >= p and not fenced', 'held and le == E and not fenced'),
  ),

  // Hit
  mutant(
    'a missing tag version means miss',
    'calm/l2',
    0,
    100,
    patch(READER, "if (raw === null) return 'invalid'", 'if (raw === null) continue'),
  ),
  mutant(
    'an entry of another epoch is a miss',
    'calm/rich',
    0,
    100,
    patch(READER, 'if (header.epoch !== seen.epoch || header.stale', 'if (header.stale'),
  ),

  // Process memory
  mutant(
    'a copy enters only if nothing passed since it was read',
    'replies/static',
    0,
    100,
    patch(COPIES, 'if (!bucket.isCurrent(names, seen.seq)) return', ''),
  ),
  mutant(
    'messages take copies away',
    'calm/static',
    0,
    100,
    patch(COHERENCE, 'this.#copies?.invalidate(bucket, message, message.soft, stamp)', ''),
  ),
  mutant(
    'an invalidation waits for confirmations',
    'tail/static',
    0,
    100,
    patch(
      COHERENCE,
      'const heard = this.#desk.wait(ack, others, TRUST_WITH_MARGIN_MS)',
      'const heard = Promise.resolve(others)',
    ),
  ),
  mutant(
    'an unknown registry of holders means waiting',
    'evict/static',
    0,
    100,
    patch(COHERENCE, 'await (unknown > 0 ?', 'await (unknown > 1e9 ?'),
  ),
  mutant(
    'trust lasts one W',
    'freeze/static',
    0,
    100,
    patch(
      COHERENCE,
      'const untilMono = this.#clock.mono() + TRUST_MS',
      'const untilMono = this.#clock.mono() + TRUST_MS * 5',
    ),
    patch(
      COHERENCE,
      'const untilWall = this.#clock.wall() + TRUST_MS',
      'const untilWall = this.#clock.wall() + TRUST_MS * 5',
    ),
  ),
  mutant(
    'trust heeds the wall clock, for suspended processes',
    'asleep/static',
    0,
    100,
    patch(
      BUCKET,
      'return mono < this.#trustMono && this.#clock.wall() < this.#trustWall',
      'return mono < this.#trustMono',
    ),
  ),
  mutant(
    'trust heeds the monotonic clock, for stepped wall clocks',
    'stepped/static',
    0,
    100,
    patch(
      BUCKET,
      'return mono < this.#trustMono && this.#clock.wall() < this.#trustWall',
      'return this.#clock.wall() < this.#trustWall || mono < 0',
    ),
  ),
  mutant(
    'a broken stream ends all trust',
    'network/static',
    0,
    100,
    patch(COHERENCE, '        isOpen = false\n        bucket.distrust()', '        isOpen = false'),
  ),
  mutant(
    'a process drops its own copies before it answers',
    'tail/solo',
    0,
    100,
    patch(
      'cache/redis-store/invalidator.ts',
      '      throw error\n    }\n    this.#coherence.applyOwn(bucket, message, commit.stamp)',
      '      throw error\n    }',
    ),
  ),

  // One load for many callers
  mutant(
    'who joins a running load needs its verdict',
    'calm/static',
    0,
    100,
    patch(LOAD, 'if (!isEarly) {', 'if (!isEarly && round < 0) {'),
  ),
  mutant(
    'nobody joins once the fill is sent',
    'replies/quick',
    0,
    100,
    patch(
      RUNNING,
      '    leaveMap(this.#core, this.#flight)\n    this.#flight.land(this.#holder',
      '    this.#flight.land(this.#holder',
    ),
    patch(
      RUNNING,
      '  #decide(verdict: Verdict): void {\n',
      '  #decide(verdict: Verdict): void {\n    leaveMap(this.#core, this.#flight)\n',
    ),
  ),

  // Outage
  mutant(
    'names in the journal are not read from the server',
    'refusing/static',
    0,
    100,
    patch(
      'cache/redis-store/redis-store.ts',
      'if (bucket.journal.size === 0 || !bucket.journal.blocks(key, tags)) return undefined',
      'return undefined',
    ),
    patch(
      READER,
      'if (journal.size > 0 && journal.blocks(read.key, header.tags)) {',
      'if (journal.size > 1e9) {',
    ),
  ),

  // Writes that store
  mutant(
    'a marked set needs an untouched key',
    'calm/rich',
    0,
    100,
    patch(
      SCRIPTS,
      "elseif e_ == E and fresh_ ~= '0' then ok = tonumber(s_) <= mark_s\n    else ok = before == mark_s end",
      'end',
    ),
  ),
  mutant(
    'a marked set needs untouched tags',
    'calm/busy',
    0,
    100,
    patch(
      SCRIPTS,
      'if h > mark_s or f > mark_s then ok = false end\n      elseif before ~= mark_s then ok = false end',
      'end',
    ),
  ),
]
