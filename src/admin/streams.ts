import type { Clock, Timer } from '../base/clock.ts'
import { hear, type Stop } from '../observe/part.ts'
import type { Rolling } from '../observe/rolling.ts'
import { redisEvents } from '../redis/events.ts'
import type { StreamEvents } from './answers/stream.ts'
import { auditEvents } from './audit.ts'
import { allows } from './permissions.ts'
import type { Principal } from './principal.ts'
import { Refused } from './problem.ts'
import type { Watcher } from './watcher.ts'

const MOST = 50
const MOST_OF_ONE = 5
const HEARTBEAT_MS = 15_000
/** Bytes that a slow reader may leave unread before it misses events. */
const BACKLOG = 262_144
/** What the browser waits before it comes again, ms. */
const RETRY_MS = 3_000

interface Open {
  readonly principal: Principal
  readonly controller: ReadableStreamDefaultController<Uint8Array>
}

/**
 * Server-Sent Events of this process: the overview each second, changes to the audit log,
 * invalidations, connections that came or went. Nothing is heard while nobody listens.
 */
export class Streams {
  readonly #rolling: Rolling
  readonly #watcher: Watcher
  readonly #clock: Clock
  readonly #open = new Set<Open>()
  #stops: Stop[] = []
  #heartbeat: Timer | undefined
  #isClosed = false

  constructor(rolling: Rolling, watcher: Watcher, clock: Clock) {
    this.#rolling = rolling
    this.#watcher = watcher
    this.#clock = clock
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size
  }

  /** @throws Refused (503) when there are too many, or this administration ends */
  response(principal: Principal): Response {
    if (this.#isClosed) throw new Refused(503, 'This administration ends.')
    const own = [...this.#open].filter((one) => one.principal.name === principal.name).length
    if (this.#open.size >= MOST || own >= MOST_OF_ONE) {
      throw new Refused(503, `There are ${MOST} streams at most, ${MOST_OF_ONE} of one name.`, {
        'Retry-After': '10',
      })
    }
    let mine: Open | undefined
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          mine = { principal, controller }
          this.#open.add(mine)
          controller.enqueue(Buffer.from(`retry: ${RETRY_MS}\n\n`))
          this.#send(mine, 'overview', this.#rolling.overview())
          if (this.#stops.length === 0) this.#listen()
        },
        cancel: () => this.#drop(mine),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: BACKLOG }),
    )
    return new Response(body, {
      headers: {
        'Content-Type': 'text/event-stream',
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        // A proxy that gathers an answer before it passes it on would gather this one for ever.
        'X-Accel-Buffering': 'no',
      },
    })
  }

  /** Ends every stream. */
  close(): void {
    this.#isClosed = true
    for (const one of [...this.#open]) {
      this.#drop(one)
      one.controller.close()
    }
  }

  #listen(): void {
    const state = (name: string) => (event: { address: string; cause: string | undefined }) =>
      this.#tell('state', {
        at: this.#now(),
        what: `redis ${event.address}`,
        state: name,
        cause: event.cause,
      })
    this.#stops = [
      this.#rolling.onTick((overview) => this.#tell('overview', overview)),
      this.#watcher.onInvalidation((what) => this.#tell('invalidation', what)),
      hear(auditEvents, (entry) => this.#tell('audit', entry)),
      ...(['ready', 'lost', 'gap', 'open'] as const).map((name) => hear(redisEvents[name], state(name))),
    ]
    this.#beat()
  }

  #beat(): void {
    this.#heartbeat = this.#clock.after(HEARTBEAT_MS, () => {
      for (const one of [...this.#open]) this.#write(one, ': still here\n\n')
      this.#beat()
    })
  }

  #tell<Name extends keyof StreamEvents>(name: Name, data: StreamEvents[Name]): void {
    for (const one of [...this.#open]) {
      if (name === 'audit' && !allows(one.principal.edition, 'audit')) continue
      this.#send(one, name, data)
    }
  }

  #send<Name extends keyof StreamEvents>(to: Open, name: Name, data: StreamEvents[Name]): void {
    this.#write(to, `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
  }

  #write({ controller }: Open, text: string): void {
    // Who does not read misses events; the next overview tells as much.
    if ((controller.desiredSize ?? 0) > 0) controller.enqueue(Buffer.from(text))
  }

  #drop(one: Open | undefined): void {
    if (one) this.#open.delete(one)
    if (this.#open.size > 0) return
    for (const stop of this.#stops.splice(0)) stop()
    this.#heartbeat?.cancel()
  }

  #now(): string {
    return new Date(this.#clock.wall()).toISOString()
  }
}
