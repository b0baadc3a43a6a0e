import { InvalidOption, InvalidValue, LoadSkipped } from '../base/errors.ts'
import type { Scope } from './core.ts'
import { BAD, open } from './entry.ts'
import { Flight } from './flight.ts'
import { type Ask, getOrLoad } from './load.ts'
import { crash } from './run.ts'
import { bypassed, type Fill, type Grant, type Job, leaveMap, RunningLoad } from './running-load.ts'
import type { Settings } from './settings.ts'
import type { Outcome } from './stats.ts'
import type { Entry } from './store.ts'

/**
 * Loads what is missing: returns a Map or Record by id, or an array in the ids' order. An array of
 * another length rejects the whole call, because nobody can tell which value belongs to whom.
 */
export type LoadMissing<Id extends string | number, T> = (
  missing: readonly Id[],
) => Batch<Id, T> | Promise<Batch<Id, T>>

type Batch<Id extends string | number, T> = ReadonlyMap<Id, T> | Readonly<Record<string, T>> | readonly T[]

/** What the batch verbs ask of their cache. */
export interface ManyScope extends Scope {
  nameOf(key: string): string
}

type Count = (key: string, outcome: Outcome, began: number) => void

/** Fresh values by key; one round trip for all that process memory does not hold. */
export async function readMany(
  scope: ManyScope,
  keys: readonly string[],
  s: Settings,
  count: Count,
): Promise<Map<string, unknown>> {
  const names = new Map(keys.map((key) => [scope.nameOf(key), key]))
  const began = scope.core.clock.mono()
  const seen = await sight(scope, [...names.keys()], s)
  const values = new Map<string, unknown>()
  for (const [name, key] of names) {
    const found = seen.get(name)!
    const isFresh = found.entry !== undefined && found.entry.freshUntil > scope.core.store.serverNow()
    const value = isFresh ? await open(scope, found.entry!, s) : BAD
    if (value !== BAD) values.set(key, value)
    count(key, value === BAD ? (found.down ? 'error' : 'miss') : found.tier, began)
  }
  // In the caller's order, each key once.
  return new Map([...new Set(keys)].filter((key) => values.has(key)).map((key) => [key, values.get(key)]))
}

interface Sight {
  readonly entry: Entry | undefined
  readonly tier: 'l1' | 'l2'
  readonly down: boolean
}

async function sight(scope: Scope, names: readonly string[], s: Settings): Promise<Map<string, Sight>> {
  const { store } = scope.core
  const seen = new Map<string, Sight>()
  const rest: string[] = []
  for (const name of names) {
    const entry = s.l1 ? store.peek(name) : undefined
    const isGood =
      entry && entry.freshUntil > store.serverNow() && s.tags.every((tag) => entry.tags.includes(tag))
    if (isGood) seen.set(name, { entry, tier: 'l1', down: false })
    else rest.push(name)
  }
  if (rest.length === 0) return seen
  const replies = await store.readMany(
    rest,
    rest.map(() => s.tags),
  )
  for (const [i, name] of rest.entries()) {
    const reply = replies[i]!
    const entry = reply.state === 'found' ? reply.entry : undefined
    seen.set(name, { entry, tier: store.shared ? 'l2' : 'l1', down: reply.state === 'down' })
  }
  return seen
}

export async function getOrSetMany<Id extends string | number, T>(
  scope: ManyScope,
  ids: readonly Id[],
  keyOf: (id: Id) => string,
  loadMissing: LoadMissing<Id, T>,
  s: Settings,
  count: Count,
): Promise<Map<Id, T>> {
  if (typeof keyOf !== 'function' || typeof loadMissing !== 'function') {
    throw new InvalidOption(
      'getOrSetMany lacks a function',
      'write getOrSetMany(ids, (id) => key, (missing) => values)',
    )
  }
  const { core } = scope
  const began = core.clock.mono()
  const idByName = new Map<string, Id>()
  const nameById = new Map<Id, string>()
  const asks = new Map<string, Ask>()
  for (const id of ids) {
    const key = keyOf(id)
    const name = scope.nameOf(key)
    nameById.set(id, name)
    if (idByName.has(name)) continue
    idByName.set(name, id)
    const loader = async () => (await pick([id], loadMissing))[0]
    asks.set(name, { scope, key, name, loader, settings: s })
  }

  const seen = await sight(scope, [...asks.keys()], s)
  const values = new Map<string, unknown>()
  const load: Job[] = []
  const refresh: Job[] = []
  const now = core.store.serverNow()
  for (const [name, ask] of asks) {
    const { entry, tier, down } = seen.get(name)!
    const isFresh = entry !== undefined && entry.freshUntil > now
    const value = entry && (isFresh || s.softMs === 0) ? await open(scope, entry, s) : BAD
    if (value !== BAD) {
      values.set(name, value)
      count(ask.key, isFresh ? tier : 'stale', began)
      if (isFresh) continue
      scope.counters.staleServed++
      if (!core.isHeldOff(name)) refresh.push({ ...ask, stale: entry, force: false, down: false })
    } else {
      const isUnreadable = entry !== undefined && (isFresh || s.softMs === 0)
      load.push({ ...ask, stale: isUnreadable ? undefined : entry, force: isUnreadable, down })
    }
  }

  const loadBatch = async (jobs: readonly Job[]) =>
    pick(
      jobs.map((job) => idByName.get(job.name)!),
      loadMissing,
    )
  const idle = refresh.filter((job) => !core.flights.has(job.name))
  if (idle.length > 0 && core.background.tryEnter()) {
    scope.counters.refreshes += idle.length
    launchMany(idle, loadBatch, true)
  } else scope.counters.refreshesSkipped += idle.length

  // Unreadable entries are replaced one by one: only a single lease can be forced.
  const batch = load.filter((job) => !core.flights.has(job.name) && !job.force)
  const own = launchMany(batch, loadBatch, false)
  await Promise.all(
    load.map(async (job) => {
      const value = await getOrLoad(asks.get(job.name)!, (outcome) => count(job.key, outcome, began), {
        flight: own.get(job.name),
        stale: job.stale,
        force: job.force,
        down: job.down,
      })
      values.set(job.name, value)
    }),
  )
  const result = new Map<Id, T>()
  for (const [id, name] of nameById) result.set(id, values.get(name) as T)
  return result
}

/** The values for `ids`, in their order. */
async function pick<Id extends string | number, T>(
  ids: readonly Id[],
  loadMissing: LoadMissing<Id, T>,
): Promise<unknown[]> {
  const batch: unknown = await loadMissing(ids)
  if (Array.isArray(batch)) {
    if (batch.length === ids.length) return batch
    throw new InvalidValue(
      `the loader returned ${batch.length} values for ${ids.length} ids`,
      'return one per id, in order, or a Map by id',
    )
  }
  if (batch instanceof Map) return ids.map((id) => batch.get(id) as unknown)
  if (typeof batch !== 'object' || batch === null) {
    throw new InvalidValue('the batch loader returned no Map, Record or array', 'return the values by id')
  }
  return ids.map((id) =>
    Object.hasOwn(batch, id) ? (batch as Record<string | number, unknown>)[id] : undefined,
  )
}

/** One flight per key, so that single calls can join, and one loader call for all of them. */
function launchMany(
  jobs: readonly Job[],
  loadBatch: (jobs: readonly Job[]) => Promise<unknown[]>,
  background: boolean,
): Map<string, Flight> {
  const flights = new Map<string, Flight>()
  for (const job of jobs) {
    const flight = new Flight(job.name, background, job.stale !== undefined)
    flights.set(job.name, flight)
    job.scope.core.flights.set(job.name, flight)
  }
  const core = jobs[0]?.scope.core
  if (core === undefined) return flights
  runMany(jobs, flights, loadBatch)
    .catch((error: unknown) => {
      for (const flight of flights.values()) crash(core, flight, error)
    })
    .finally(() => {
      if (background) core.background.leave()
    })
  return flights
}

async function runMany(
  jobs: readonly Job[],
  flights: ReadonlyMap<string, Flight>,
  loadBatch: (jobs: readonly Job[]) => Promise<unknown[]>,
): Promise<void> {
  const { core } = jobs[0]!.scope
  for (const flight of flights.values()) flight.round++
  const replies = await core.store.leaseMany(
    jobs.map((job) => job.name),
    jobs.map((job) => job.settings.tags),
  )
  const granted: { job: Job; grant: Grant; flight: Flight }[] = []
  let isOutage = false
  for (const [i, job] of jobs.entries()) {
    const flight = flights.get(job.name)!
    const reply = replies[i]!
    if (reply.state === 'found' || reply.state === 'busy') {
      leaveMap(core, flight)
      // Busy: whoever waits goes on alone, by the rules of a single call.
      flight.land(
        reply.state === 'found'
          ? { kind: 'entry', entry: reply.entry, round: flight.round }
          : { kind: 'idle' },
      )
      continue
    }
    if (reply.state === 'granted') granted.push({ job, flight, grant: { by: 'lease', ...reply } })
    else {
      flight.outage = reply.state === 'down'
      isOutage ||= flight.outage
      granted.push({ job, flight, grant: { by: reply.state === 'down' ? 'outage' : 'fence' } })
    }
  }
  if (granted.length === 0) return
  if (isOutage && !(await core.outage.enter())) {
    throw new LoadSkipped('the store is down and too many loads are waiting')
  }
  try {
    await loadMany(granted, loadBatch)
  } finally {
    if (isOutage) core.outage.leave()
  }
}

async function loadMany(
  granted: readonly { job: Job; grant: Grant; flight: Flight }[],
  loadBatch: (jobs: readonly Job[]) => Promise<unknown[]>,
): Promise<void> {
  const runs = granted.map(({ flight, job, grant }) => new RunningLoad(flight, job, grant))
  let loaded: unknown[]
  try {
    for (const run of runs) await run.begin()
    loaded = await loadBatch(granted.map(({ job }) => job))
  } catch (error) {
    for (const run of runs) run.fail(error)
    return
  }
  const fills: { run: RunningLoad; fill: Fill }[] = []
  for (const [i, run] of runs.entries()) {
    try {
      const fill = await run.settle(loaded[i])
      if (fill) fills.push({ run, fill })
    } catch (error) {
      run.fail(error)
    }
  }
  if (fills.length === 0) return
  const { store } = granted[0]!.job.scope.core
  const replies = await store.fillMany(fills.map(({ fill }) => fill)).catch(bypassed)
  for (const [i, { run }] of fills.entries()) run.finish(Array.isArray(replies) ? replies[i]! : replies)
}
