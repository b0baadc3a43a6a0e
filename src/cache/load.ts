import { Closed, LoadTimeout } from '../base/errors.ts'
import type { Scope } from './core.ts'
import { BAD, covers, isDueEarly, open } from './entry.ts'
import { type Flight, within } from './flight.ts'
import { Memo } from './holder.ts'
import type { Loader } from './options.ts'
import { launch } from './run.ts'
import type { Settings } from './settings.ts'
import type { Outcome } from './stats.ts'
import type { Entry, ReadReply } from './store.ts'

/** One call's question, passed down whole. */
export interface Ask {
  readonly scope: Scope
  readonly key: string
  readonly name: string
  readonly loader: Loader<unknown>
  readonly settings: Settings
  /** What a found value is good for, where a ttl alone does not tell. */
  readonly judge?: Judge | undefined
}

/**
 * Asked about every value that is found, stale ones included. `serve`: hand it out. `refresh`: and
 * load behind the caller's back. `load`: load now, with it as `ctx.stale`.
 */
export type Judge = (value: unknown, state: { fresh: boolean; heldOff: boolean }) => Judgement
export type Judgement = 'serve' | 'refresh' | 'load'

/** What a batch call has found out already. */
export interface HeadStart {
  /** Launched for this very call. */
  readonly flight: Flight | undefined
  readonly stale: Entry | undefined
  readonly force: boolean
  readonly down: boolean
}

/** What a look into the store showed. */
interface Sight {
  readonly entry?: Entry
  readonly tier?: 'l1' | 'l2'
  readonly down?: Error
  readonly leftover?: Entry | undefined
}

const JOIN: Sight = {}

/**
 * The whole of `getOrSet` behind the hot path: look, else load once for everybody.
 * @param done told the outcome of the look-up, exactly once, before the promise resolves
 * @param first what the store answered to this call already, in place of the first look
 */
export async function getOrLoad(
  ask: Ask,
  done: (outcome: Outcome) => void,
  head?: HeadStart,
  first?: ReadReply,
): Promise<unknown> {
  const { scope, name, settings: s } = ask
  const { core, counters } = scope
  const deadline = core.clock.mono() + s.hardMs
  let force = head?.force ?? false
  let joined = false
  let asked: Outcome = head?.down ? 'error' : 'miss'
  let own = head?.flight
  for (;;) {
    if (core.closed) throw new Closed()
    s.signal?.throwIfAborted()
    const sight = own ? JOIN : first ? judge(ask, first) : await look(ask)
    first = undefined
    if (sight.down) asked = 'error'
    let stale = own && head?.stale
    if (sight.entry !== undefined && !force) {
      const { entry } = sight
      const now = core.store.serverNow()
      const isFresh = entry.freshUntil > now
      const heldOff = core.isHeldOff(name)
      if (ask.judge || isFresh || s.softMs === 0 || heldOff) {
        const value = await open(scope, entry, s)
        const verdict = value === BAD ? 'load' : ask.judge?.(value, { fresh: isFresh, heldOff })
        if (verdict !== 'load') {
          if (entry.memo instanceof Memo) entry.memo.tags = s.rawTags
          const isDue = verdict
            ? verdict === 'refresh'
            : !isFresh || isDueEarly(entry, s, now, core.random.float())
          if (isDue) refresh(ask, entry)
          if (!isFresh) counters.staleServed++
          done(isFresh ? (sight.tier ?? 'l2') : 'stale')
          return value
        }
        force = isFresh || value === BAD
        if (value !== BAD) stale = entry
      } else stale = entry
    }

    const running = own ? undefined : core.flights.get(name)
    const flight = own ?? running ?? launch({ ...ask, stale, force, down: sight.down !== undefined }, false)
    own = undefined
    const isEarly = running === undefined || !running.started
    const round = running?.round ?? 0
    if (running && !joined) {
      joined = true
      counters.joined++
    }
    flight.waiting++
    const left = Math.max(0, deadline - core.clock.mono())
    const patience = stale && s.softMs !== false ? Math.min(s.softMs, left) : left
    const landing = await within(core.clock, flight.landing, patience, s.signal).catch((reason: unknown) => {
      flight.forsake(reason)
      throw reason
    })

    if (running?.outage) asked = 'error'

    if (landing === 'timeout') {
      flight.leaveRunning()
      if (stale && patience < left) {
        const value = await open(scope, stale, s)
        if (value !== BAD) return serveStale(ask, value, done)
        force = true
        continue
      }
      return fallBack(ask, stale ?? sight.leftover, timeout(s), asked, done)
    }
    flight.waiting--
    switch (landing.kind) {
      case 'idle':
        continue
      case 'error':
        // A load that was told to stop says nothing about the source.
        if (flight.aborted) continue
        return fallBack(ask, stale ?? sight.leftover, landing.error, asked, done)
      case 'entry': {
        if (round >= landing.round) continue
        const value = await open(scope, landing.entry, s)
        if (value === BAD) {
          force = true
          continue
        }
        done('l2')
        return value
      }
    }
    if (!isEarly) {
      const verdict = await within(
        core.clock,
        flight.verdict,
        Math.max(0, deadline - core.clock.mono()),
        s.signal,
      )
      if (verdict === 'timeout') return fallBack(ask, stale ?? sight.leftover, timeout(s), asked, done)
      // Not stored, for whatever reason, an outage included: nothing proves that the value is not
      // older than this call. The next load is shared by all who waited here.
      if (verdict !== 'stored') continue
    }
    const value = landing.kind === 'raw' ? ownCopy(landing.value) : await open(scope, landing.holder, s)
    if (value === BAD) {
      force = true
      continue
    }
    done(asked)
    return value
  }
}

/** L1, then the store; not at all when the only thing to find is a load that is already running. */
async function look({ scope, name, settings: s }: Ask): Promise<Sight> {
  const { core } = scope
  const local = s.l1 ? core.store.peek(name) : undefined
  if (local !== undefined && covers(local, s.tags)) {
    if (s.softMs === 0 || local.freshUntil > core.store.serverNow()) return { entry: local, tier: 'l1' }
  }
  const running = core.flights.get(name)
  if (running !== undefined && !running.hasStale && !running.aborted) return JOIN
  return judge({ scope, name, settings: s }, await core.store.read(name, s.tags))
}

function judge(
  { scope, name, settings: s }: Pick<Ask, 'scope' | 'name' | 'settings'>,
  reply: ReadReply,
): Sight {
  const { core } = scope
  if (reply.state === 'found') return { entry: reply.entry, tier: core.store.shared ? 'l2' : 'l1' }
  // A load of this process may have landed while the answer was on its way: that spares another.
  const landed = s.l1 ? core.store.peek(name) : undefined
  if (landed !== undefined && landed.freshUntil > core.store.serverNow() && covers(landed, s.tags)) {
    return { entry: landed, tier: 'l1' }
  }
  return reply.state === 'down' ? { down: reply.cause, leftover: reply.leftover } : JOIN
}

/** Reloads behind the caller's back, unless that already happens, failed just now, or is too much. */
function refresh(ask: Ask, entry: Entry): void {
  const { scope, name } = ask
  const { core, counters } = scope
  if (core.flights.has(name) || core.isHeldOff(name)) return
  if (!core.background.tryEnter()) {
    counters.refreshesSkipped++
    return
  }
  counters.refreshes++
  launch({ ...ask, stale: entry, force: entry.freshUntil > core.store.serverNow(), down: false }, true)
}

/** The load failed: an older value if there is one and the options allow it, else the error. */
async function fallBack(
  ask: Ask,
  older: Entry | undefined,
  error: unknown,
  asked: Outcome,
  done: (outcome: Outcome) => void,
): Promise<unknown> {
  const { staleIfError } = ask.settings
  if (older !== undefined && (typeof staleIfError === 'function' ? staleIfError(error) : staleIfError)) {
    const value = await open(ask.scope, older, ask.settings)
    if (value !== BAD) return serveStale(ask, value, done)
  }
  done(asked)
  throw error
}

function serveStale(ask: Ask, value: unknown, done: (outcome: Outcome) => void): unknown {
  ask.scope.counters.staleServed++
  done('stale')
  return value
}

function timeout(s: Settings): LoadTimeout {
  return new LoadTimeout(`the value was not loaded within ${s.hardMs} ms`)
}

/** For a value that is not encoded: two callers must not share one mutable object. */
function ownCopy(value: unknown): unknown {
  try {
    return structuredClone(value)
  } catch {
    return value
  }
}
