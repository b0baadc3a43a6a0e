import { backoff } from '../base/backoff.ts'
import { sleep } from '../base/clock.ts'
import { LoadSkipped } from '../base/errors.ts'
import type { Core } from './core.ts'
import { Flight } from './flight.ts'
import { bypassed, type Grant, type Job, leaveMap, RunningLoad } from './running-load.ts'
import { LEASE_MS } from './store.ts'

const POLL_FIRST_MS = 5
const POLL_MOST_MS = 50
/** Longest wait for the flight of another process, before loading beside it. */
const PATIENCE_MS = 10_000

/** Starts the one load of a key in this process. The caller made sure that none is running. */
export function launch(job: Job, background: boolean): Flight {
  const { core } = job.scope
  const flight = new Flight(job.name, background, job.stale !== undefined)
  core.flights.set(job.name, flight)
  run(flight, job)
    .catch((error: unknown) => crash(core, flight, error))
    .finally(() => {
      if (background) core.background.leave()
    })
  return flight
}

/** Ends a flight that could not even load. */
export function crash(core: Core, flight: Flight, error: unknown): void {
  leaveMap(core, flight)
  flight.land({ kind: 'error', error })
  flight.decide('unstored')
}

async function run(flight: Flight, job: Job): Promise<void> {
  const { core } = job.scope
  const grant = job.down ? ({ by: 'outage' } as const) : await obtain(flight, job)
  if (grant === undefined) return
  if (grant.by !== 'outage') return load(flight, job, grant)
  flight.outage = true
  if (!(await core.outage.enter())) throw new LoadSkipped('the store is down and too many loads are waiting')
  try {
    await load(flight, job, grant)
  } finally {
    core.outage.leave()
  }
}

/** Asks for the lease until there is one, or a reason to load without. Undefined: landed already. */
async function obtain(flight: Flight, { scope, name, settings, force }: Job): Promise<Grant | undefined> {
  const { core } = scope
  const until = core.clock.mono() + Math.min(PATIENCE_MS, settings.hardMs)
  let forced = force
  for (let attempt = 0; ; attempt++) {
    flight.round++
    const reply = await core.store.lease(name, settings.tags, forced ? { force: true } : undefined)
    switch (reply.state) {
      case 'granted':
        return { by: 'lease', lease: reply.lease, stale: reply.stale }
      case 'down':
        return { by: 'outage' }
      case 'fenced':
        return { by: 'fence' }
      case 'found':
        leaveMap(core, flight)
        flight.land({ kind: 'entry', entry: reply.entry, round: flight.round })
        return undefined
    }
    if (flight.background) {
      // Another process refreshes it; look again when its lease must be over.
      core.holdOff(name, LEASE_MS / 4)
      leaveMap(core, flight)
      flight.land({ kind: 'idle' })
      return undefined
    }
    if (core.clock.mono() >= until) return { by: 'patience' }
    await sleep(core.clock, backoff(attempt, POLL_FIRST_MS, POLL_MOST_MS, core.random))
    // What the other flight brings will be newer than what made us force.
    forced = false
  }
}

async function load(flight: Flight, job: Job, grant: Grant): Promise<void> {
  if (flight.aborted) {
    // Everybody left before it began; who came since then starts anew.
    leaveMap(job.scope.core, flight)
    if (grant.by === 'lease') void job.scope.core.store.release(grant.lease)
    flight.land({ kind: 'idle' })
    flight.decide('unstored')
    return
  }
  const running = new RunningLoad(flight, job, grant)
  let fill: Awaited<ReturnType<RunningLoad['settle']>>
  try {
    const context = await running.begin()
    fill = await running.settle(await job.loader(context))
  } catch (error) {
    return running.fail(error)
  }
  if (fill === undefined) return
  running.finish(await job.scope.core.store.fill(fill.lease, fill.draft).catch(bypassed))
}
