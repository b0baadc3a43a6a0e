import { type Clock, systemClock } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { boundName, encodeName, encodePart } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { Nap } from '../lock/nap.ts'
import { mayRetry } from '../lock/retry.ts'
import type { RedisPort } from '../redis/port.ts'
import {
  OnceFailed,
  OnceIndeterminate,
  OnceMismatch,
  OnceNoResult,
  OnceRunning,
  OnceUnavailable,
} from './errors.ts'
import { type Note, told } from './events.ts'
import { listOnce, type OnceListOptions, type OncePage } from './listing.ts'
import { MemoryOnceStore } from './memory-store.ts'
import { decodeFailure, decodeResult, fingerprint } from './record.ts'
import { RedisOnceStore } from './redis-store.ts'
import { Run } from './run.ts'
import type { Step } from './step.ts'
import type { Claim, ClaimReply, CrashPolicy, OnceRecord, OnceStore } from './store.ts'
import { endingOf, MAX_RESULT_BYTES, type Verdict } from './verdict.ts'

/** Options of one call of `once`. */
export interface OnceOptions {
  /**
   * What the request asks for. The same key with another payload is refused. Kept as a digest only;
   * key order does not matter.
   */
  payload?: unknown
  /** How long to wait for a run that is under way, to share its result. @default 0: OnceRunning at once */
  wait?: Duration | undefined
  /** How long the end is remembered: within it the result is handed out, after it a key is new. @default '24h' */
  retain?: Duration | undefined
  /**
   * What this caller may do when a run died without a word. `hold`: nothing, an operator calls
   * `resolve` (at most once). `recover`: run again, steps that ended are not repeated.
   * `retry`: run again from the start (at least once). @default 'hold'
   */
  onCrash?: CrashPolicy | undefined
  /** After this long without a heartbeat a run counts as dead. From 300 ms to one day. @default '30s' */
  lease?: Duration | undefined
  /** Whether an error ends the key for good. Others free it for another try. @default never */
  isFinal?: ((error: unknown) => boolean) | undefined
  /** Largest encoded result of the run and of a step that is kept. @default 65_536 */
  maxResultBytes?: number | undefined
  /** Gives up waiting. Does not end a run that began. */
  signal?: AbortSignal | undefined
  /** How long Redis may be away before a claim is refused. @default '1s' */
  patience?: Duration | undefined
}

/** Runs work once per key over all processes, and remembers how it ended. */
export interface Once {
  /**
   * @throws OnceRunning, OnceMismatch, OnceIndeterminate, OnceFailed, OnceNoResult, OnceUnavailable
   * before `fn` began; what `fn` throws; OnceSuperseded or OnceUnavailable with `outcome` after it
   */
  <T>(key: string, fn: (step: Step) => T | Promise<T>, options?: OnceOptions): Promise<T>
  /** The state of a key without its result; `undefined` when nothing is known of it. */
  inspect(key: string): Promise<OnceRecord | undefined>
  /**
   * Records that are known, without their results, bounded in number and time.
   * @throws InvalidOption, RedisUnavailable, RedisTimeout
   */
  list(options?: OnceListOptions): Promise<OncePage>
  /**
   * Settles a key by hand: done with a result, failed for good, or free for another try. A run that
   * is alive is only overridden with `force`, and then superseded.
   */
  resolve(
    key: string,
    verdict: Verdict,
    options?: { force?: boolean; retain?: Duration },
  ): Promise<'resolved' | 'absent' | 'running'>
  /** Ends the listening. */
  close(): void
}

/** What `createOnce` is made of. */
export interface OnceSetup {
  /** Shared between processes by this Redis; without it, within this process. */
  redis?: RedisPort | undefined
  /** @default 'app' */
  namespace?: string | undefined
  clock?: Clock | undefined
  random?: Random | undefined
  /** Defaults of every call. */
  defaults?: OnceOptions | undefined
}

const OPTIONS = [
  'payload',
  'wait',
  'retain',
  'onCrash',
  'lease',
  'isFinal',
  'maxResultBytes',
  'signal',
  'patience',
]
const MIN_LEASE_MS = 300
const MAX_LEASE_MS = 86_400_000
const ATTEMPT_MS = 500
const POLL_MS = 2_000
const OPERATOR_MS = 1_000

/** Run-once alone, in process memory or on a connection. @throws InvalidOption */
export function createOnce(setup: OnceSetup = {}): Once {
  const { redis, namespace = 'app', clock = systemClock, random = systemRandom, defaults = {} } = setup
  const store: OnceStore = redis
    ? new RedisOnceStore(redis, encodePart(namespace, 'namespace'))
    : new MemoryOnceStore(clock, random)
  settings(defaults)
  const once = <T>(key: string, fn: (step: Step) => T | Promise<T>, options: OnceOptions = {}) =>
    told(store.clock, (note) => runOnce(store, key, fn, settings({ ...defaults, ...options }), note))
  return Object.assign(once, {
    inspect: async (key: string) => {
      const id = idOf(key)
      await store.opening()
      return store.inspect(id, OPERATOR_MS)
    },
    list: (options: OnceListOptions = {}) => listOnce(store, options),
    resolve: async (key: string, verdict: Verdict, options: { force?: boolean; retain?: Duration } = {}) => {
      refuseUnknown(options, ['force', 'retain'], 'once.resolve()')
      const ending = endingOf(verdict)
      const id = idOf(key)
      const retainMs = retention(options.retain ?? defaults.retain)
      await store.opening()
      return store.resolve(id, ending, { force: options.force ?? false, retainMs, deadline: OPERATOR_MS })
    },
    close: () => store.close(),
  })
}

interface Settings {
  readonly fingerprint: string
  readonly waitMs: number
  readonly retainMs: number
  readonly onCrash: CrashPolicy
  readonly leaseMs: number
  readonly isFinal: (error: unknown) => boolean
  readonly maxResultBytes: number
  readonly signal: AbortSignal | undefined
  readonly patienceMs: number
}

async function runOnce<T>(
  store: OnceStore,
  key: string,
  fn: (step: Step) => T | Promise<T>,
  given: Settings,
  note: Note,
): Promise<T> {
  const { waitMs, signal } = given
  signal?.throwIfAborted()
  const claim: Claim = { id: idOf(key), owner: store.random.id(), ...given }
  const { clock } = store
  const started = clock.mono()
  const nap = new Nap(clock, signal)
  let stopListening: (() => void) | undefined
  try {
    for (;;) {
      nap.rearm()
      const { reply, sentAt } = await claimWithPatience(store, claim, given, nap)
      switch (reply.state) {
        case 'won': {
          stopListening?.()
          stopListening = undefined
          note.began = true
          return await new Run(store, { ...given, key, claim, sentAt, won: reply, fn }).execute()
        }
        case 'done':
          if (reply.result === undefined) throw new OnceNoResult()
          // The record was made by a run of the same key, whose result had the type of `fn`'s.
          return decodeResult(reply.result) as T
        case 'failed': {
          const { name, message } = decodeFailure(reply.error)
          throw new OnceFailed(name, message)
        }
        case 'mismatch':
          throw new OnceMismatch()
        case 'indeterminate':
          throw new OnceIndeterminate(reply.attempts)
        case 'running': {
          const left = started + waitMs - clock.mono()
          if (left <= 0) throw new OnceRunning(reply.leaseMs)
          // `open` wakes us once the line stands: an end that came just before it is not missed.
          stopListening ??= store.listen(claim.id, () => nap.end())
          await nap.sleep(Math.min(left, POLL_MS, reply.leaseMs + 5))
        }
      }
    }
  } finally {
    stopListening?.()
  }
}

async function claimWithPatience(
  store: OnceStore,
  claim: Claim,
  given: Settings,
  nap: Nap,
): Promise<{ reply: ClaimReply; sentAt: number }> {
  const { clock, random } = store
  const opening = store.opening()
  if (opening) await nap.until(opening)
  const started = clock.mono()
  for (;;) {
    const sentAt = clock.mono()
    try {
      const reply = await store.claim(claim, given.onCrash, Math.min(ATTEMPT_MS, given.leaseMs))
      // Won, but so late that the lease may be over: ask again, as the same claimant.
      if (reply.state !== 'won' || clock.mono() - sentAt < given.leaseMs / 2) return { reply, sentAt }
    } catch (error) {
      if (!mayRetry(error) || clock.mono() - started >= given.patienceMs) {
        void abandon(store, claim)
        throw new OnceUnavailable('Redis did not give an answer about the key; nothing was run', {
          cause: error,
        })
      }
    }
    try {
      await nap.sleep(20 + random.float() * 60)
    } catch (reason) {
      void abandon(store, claim)
      throw reason
    }
  }
}

/** Frees what an attempt without an answer may have won, until its lease ends by itself. */
async function abandon(store: OnceStore, claim: Claim): Promise<void> {
  const over = store.clock.mono() + claim.leaseMs
  while (store.clock.mono() < over) {
    try {
      return await store.abandon(claim, ATTEMPT_MS)
    } catch (error) {
      if (!mayRetry(error)) return
      await new Promise<void>((resolve) => store.clock.after(200, resolve))
    }
  }
}

function settings(options: OnceOptions): Settings {
  refuseUnknown(options, OPTIONS, 'once()')
  const { onCrash = 'hold', maxResultBytes = MAX_RESULT_BYTES, isFinal = () => false } = options
  const leaseMs = Math.floor(toMs(options.lease ?? '30s', 'lease'))
  if (leaseMs < MIN_LEASE_MS || leaseMs > MAX_LEASE_MS) {
    throw new InvalidOption(
      `lease is ${leaseMs} ms`,
      'give 300 ms to one day; it is renewed while the run lives',
    )
  }
  const retainMs = retention(options.retain)
  if (!['hold', 'recover', 'retry'].includes(onCrash)) {
    throw new InvalidOption('onCrash is none of its three words', "give 'hold', 'recover' or 'retry'")
  }
  if (!Number.isInteger(maxResultBytes) || maxResultBytes < 0) {
    throw new InvalidOption('maxResultBytes is not a number of bytes', 'give a whole number')
  }
  if (typeof isFinal !== 'function') {
    throw new InvalidOption('isFinal is no function', 'give (error) => boolean, or leave it out')
  }
  return {
    fingerprint: fingerprint(options.payload),
    waitMs: toMs(options.wait ?? 0, 'wait'),
    retainMs,
    onCrash,
    leaseMs,
    isFinal,
    maxResultBytes,
    signal: options.signal,
    patienceMs: toMs(options.patience ?? '1s', 'patience'),
  }
}

function retention(given: Duration = '24h'): number {
  const ms = Math.ceil(toMs(given, 'retain'))
  if (ms >= 1) return ms
  throw new InvalidOption('retain is 0', 'give the time for which a repeated call is recognised')
}

function idOf(key: string): string {
  return boundName('', encodeName(key, 'once key'))
}
