import { type Clock, systemClock } from '../base/clock.ts'
import { eventChannel } from '../base/events.ts'
import { redactName } from '../base/key.ts'
import type { Logger } from '../base/logger.ts'
import { refuseUnknown } from '../base/options.ts'
import { corruptions, loads, lookups, writes } from '../cache/stats.ts'
import { degraded } from '../http/counts.ts'
import { upstreamFailureEvents } from '../http/outbound-events.ts'
import { limitDegradedEvents } from '../limit/events.ts'
import { lockEvents } from '../lock/events.ts'
import { onceEvents } from '../once/events.ts'
import { queueBatchEvents, queueFaultEvents, queueLeaseEvents } from '../queue/events.ts'
import { spillEvents } from '../queue/spill-events.ts'
import type { RedisEvent } from '../redis/events.ts'
import { hear, type Stop, stopAll } from './part.ts'

/** What is written to the log. */
export interface LogOptions {
  /** Also one `debug` line for each operation of the cache: two microseconds each and more. @default false */
  operations?: boolean | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
}

/** What `logEvents` began. */
export interface EventLog {
  /** Ends the writing. */
  close(): void
}

type Level = keyof Logger
type Fields = Readonly<Record<string, unknown>>

/** One line about the same thing in so many ms; the next says how many were left out. */
const QUIET_MS = 10_000
const MOST_KEPT = 500

/**
 * Writes what goes wrong, and who did what, as structured lines: a fixed sentence and fields. Keys are
 * cut to their first part and eight characters of a hash; values, identities and messages of errors that
 * are not ours are never written. Lines about the same thing come once in ten seconds, with a count.
 * Events are those of the whole process.
 * @throws InvalidOption
 */
export function logEvents(logger: Logger, options: LogOptions = {}): EventLog {
  refuseUnknown(options, ['operations', 'clock'], 'logEvents()')
  const { operations = false, clock = systemClock } = options
  const lines = new Lines(logger, clock)
  const stops = [
    ...redisLines(lines),
    hear(limitDegradedEvents, ({ namespace, limiter, policy, cause }) =>
      lines.write('warn', 'limiter decides without Redis', limiter, { namespace, limiter, policy, cause }),
    ),
    hear(lockEvents, (heard) => {
      if (heard.event !== 'lost') return
      const { kind, cause, heldMs } = heard
      lines.write('warn', 'lock lost before it was given back', kind, { kind, cause, heldMs })
    }),
    hear(onceEvents, ({ outcome }) => {
      if (outcome !== 'indeterminate') return
      lines.write('error', 'a run died and nobody knows whether it took effect', '', {})
    }),
    ...queueLines(lines),
    hear(corruptions, ({ namespace, key, cause }) =>
      lines.write('warn', 'cache entry could not be read', namespace, {
        namespace,
        key: redactName(key),
        cause: nameOf(cause),
      }),
    ),
    hear(loads, ({ namespace, key, ms, error }) => {
      if (error === undefined) return
      const fields = { namespace, key: redactName(key), durationMs: ms, error: nameOf(error) }
      lines.write('warn', 'loader failed', namespace, fields)
    }),
    hear(upstreamFailureEvents, ({ route, kind, status }) =>
      lines.write('warn', 'call to another service failed', `${route} ${kind}`, { route, kind, status }),
    ),
    hear(degraded, ({ what, error }) =>
      lines.write('warn', 'HTTP answer less than promised', what, { what, error: nameOf(error) }),
    ),
    hear(eventChannel<Fields>('holdfast:admin:audit'), (entry) => logger.info('administration', entry)),
    ...(operations ? operationLines(logger) : []),
  ]
  return { close: stopAll(stops) }
}

/** Every operation, in the words of the trade. */
function operationLines(logger: Logger): Stop[] {
  const line = (op: string, key: string, ms: number, fields: Fields): void => {
    const shown = redactName(key)
    const text = `Cache ${op} - Key: ${shown}, Duration: ${(ms / 1_000).toFixed(3)}s`
    logger.debug(text, { op, key: shown, durationMs: ms, ...fields })
  }
  return [
    hear(lookups, ({ namespace, key, outcome, ms }) => line('get', key, ms, { namespace, outcome })),
    hear(writes, ({ namespace, op, names, ms, error }) =>
      line(op, names[0] ?? '*', ms, { namespace, names: names.length, failed: error !== undefined }),
    ),
  ]
}

function redisLines(lines: Lines): Stop[] {
  const on = (event: string, level: Level, text: string) =>
    hear(eventChannel<RedisEvent>(`holdfast:redis:${event}`), ({ address, cause }) =>
      lines.write(level, text, address, { node: address, ...(cause === undefined ? {} : { cause }) }),
    )
  return [
    on('ready', 'info', 'Redis connection open'),
    on('lost', 'warn', 'Redis connection lost'),
    on('refused', 'warn', 'Redis connection refused'),
    on('timeout', 'warn', 'Redis call timed out'),
    on('gap', 'warn', 'Redis push connection lost'),
    on('topology', 'info', 'Redis topology changed'),
  ]
}

function queueLines(lines: Lines): Stop[] {
  return [
    hear(queueBatchEvents, ({ queue, outcome, dead, retried, messages }) => {
      if (dead > 0) lines.write('error', 'messages became dead letters', queue, { queue, dead, messages })
      else if (outcome !== 'answered') {
        lines.write('warn', 'handler of a queue failed', queue, { queue, outcome, retried, messages })
      }
    }),
    hear(queueFaultEvents, ({ queue, at, cause }) =>
      lines.write('warn', 'queue cannot go on, and tries again', `${queue} ${at}`, { queue, at, cause }),
    ),
    hear(queueLeaseEvents, ({ queue, partition, state }) => {
      if (state === 'lost') lines.write('warn', 'partition lost', queue, { queue, partition })
    }),
    hear(spillEvents, ({ queue, kind, bytes, code }) =>
      lines.write(kind === 'torn' ? 'warn' : 'error', 'local file of a queue', `${queue} ${kind}`, {
        ...{ queue, kind, bytes },
        ...(code === undefined ? {} : { code }),
      }),
    ),
  ]
}

/** Lets the first line about a thing through, and counts the rest for a while. */
class Lines {
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #quiet = new Map<string, { until: number; suppressed: number }>()

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  write(level: Level, text: string, about: string, fields: Fields): void {
    const now = this.#clock.mono()
    const name = `${text} ${about}`
    const known = this.#quiet.get(name)
    if (known !== undefined && now < known.until) {
      known.suppressed++
      return
    }
    this.#quiet.delete(name)
    for (const oldest of this.#quiet.keys()) {
      if (this.#quiet.size < MOST_KEPT) break
      this.#quiet.delete(oldest)
    }
    this.#quiet.set(name, { until: now + QUIET_MS, suppressed: 0 })
    const left = known?.suppressed ?? 0
    this.#logger[level](text, left > 0 ? { ...fields, suppressed: left } : fields)
  }
}

/** Code or class of an error: its message may hold anything. */
function nameOf(error: unknown): string | undefined {
  if (error === undefined) return undefined
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.name
  return typeof error
}

/** As pino's loggers are: fields first. */
export interface PinoLike {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** A logger of pino, bunyan or Fastify for `holdfast({ logger })`, `createAdmin` and `logEvents`. */
export function pinoLogger(pino: PinoLike): Logger {
  return {
    debug: (message, fields = {}) => pino.debug(fields, message),
    info: (message, fields = {}) => pino.info(fields, message),
    warn: (message, fields = {}) => pino.warn(fields, message),
    error: (message, fields = {}) => pino.error(fields, message),
  }
}
