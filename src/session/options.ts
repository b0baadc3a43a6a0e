import type { Clock } from '../base/clock.ts'
import type { Duration } from '../base/duration.ts'
import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Random } from '../base/random.ts'
import type { StandardSchema } from '../base/schema.ts'
import type { EncryptionSetup } from '../cache/encrypt.ts'
import type { RedisPort } from '../redis/port.ts'
import type { SessionStore } from './store.ts'

/** How a field that two requests changed is settled; the fields themselves never block each other. */
export type ConflictPolicy =
  | 'lastWrite'
  | 'reject'
  | ((field: string, conflict: { mine: unknown; theirs: unknown; base: unknown }) => unknown)

/** Options of `hf.sessions(name, options)`. */
export interface SessionOptions {
  /** A session ends this long after its last use. @default '30m' */
  idle?: Duration | undefined
  /** A session ends this long after its creation or login, whatever the use. @default '12h' */
  absolute?: Duration | undefined
  /** A use that would gain less than this extends nothing. @default a twentieth of `idle`, at most '1m' */
  touchEvery?: Duration | undefined
  /** After `regenerate` of the same user, the old id leads to the new one for this long. @default '10s' */
  grace?: Duration | undefined
  /** What happens when two requests changed the same field. @default 'lastWrite', field by field */
  conflict?: ConflictPolicy | undefined
  /** Any Standard Schema. Checked on create, update and load; a stored session that fails is absent. */
  schema?: StandardSchema | undefined
  /** Upgrades stored data that does not match `schema`; return undefined to give the session up. */
  migrate?: ((data: unknown) => unknown) | undefined
  /**
   * Keys for AES-256-GCM. With them, fields, user ids and infos are ciphertext in the store.
   * @default the keys of the instance, where it has some; false = never
   */
  encryption?: EncryptionSetup | false | undefined
  /** Most bytes of all fields of a session. @default 64 KiB */
  maxBytes?: number | undefined
  /** Most fields of a session. @default 128 */
  maxFields?: number | undefined
  /** Most live sessions of one user; a further login ends the oldest. @default 100 */
  maxPerUser?: number | undefined
  /** Without Redis: most sessions in this process. @default 100_000 */
  maxSessions?: number | undefined
  /**
   * When Redis does not answer. `error`: reject. `readonly`: hand out a copy from this process that
   * is younger than `copies.life`, marked `readOnly`; writes still reject. @default 'error'
   */
  onUnavailable?: 'error' | 'readonly' | undefined
  /** For `readonly`. @default { max: 10_000, life: '1m' } */
  copies?: { max?: number | undefined; life?: Duration | undefined } | undefined
  /** A call is given up after this long. @default '500ms' */
  deadline?: Duration | undefined
}

/** What `createSessions` is made of. */
export interface SessionsOptions extends SessionOptions {
  /** Tells kinds of sessions apart: 'web', 'chat', 'admin'. @default 'default' */
  name?: string | undefined
  /** Shared between processes by this Redis; without it, in process memory. */
  redis?: RedisPort | undefined
  /** @default 'default' */
  namespace?: string | undefined
  /** Where the sessions live, instead of `redis`: a store shared by two instances, or your own. */
  store?: SessionStore | undefined
  clock?: Clock | undefined
  random?: Random | undefined
}

/** The options with every default in place, in milliseconds and bytes. */
export interface SessionSettings {
  readonly idleMs: number
  readonly absoluteMs: number
  readonly touchEveryMs: number
  readonly graceMs: number
  readonly deadlineMs: number
  readonly conflict: ConflictPolicy
  readonly maxBytes: number
  readonly maxFields: number
  readonly maxPerUser: number
  readonly maxSessions: number
  readonly readonlyCopies: { readonly max: number; readonly lifeMs: number } | undefined
}

const KNOWN: readonly (keyof SessionsOptions)[] = [
  'name',
  'redis',
  'namespace',
  'store',
  'clock',
  'random',
  'idle',
  'absolute',
  'touchEvery',
  'grace',
  'conflict',
  'schema',
  'migrate',
  'encryption',
  'maxBytes',
  'maxFields',
  'maxPerUser',
  'maxSessions',
  'onUnavailable',
  'copies',
  'deadline',
]

/** @throws InvalidOption */
export function settle(options: SessionsOptions): SessionSettings {
  refuseUnknown(options, KNOWN, 'sessions')
  const idleMs = life(options.idle ?? '30m', 'idle')
  const absoluteMs = life(options.absolute ?? '12h', 'absolute')
  const touchEveryMs =
    options.touchEvery === undefined
      ? Math.min(60_000, Math.floor(idleMs / 20))
      : toMs(options.touchEvery, 'touchEvery')
  if (touchEveryMs >= idleMs) {
    throw new InvalidOption('touchEvery is not shorter than idle', 'make it a small part of idle')
  }
  const { conflict = 'lastWrite', onUnavailable = 'error', copies } = options
  if (typeof conflict !== 'function' && conflict !== 'lastWrite' && conflict !== 'reject') {
    throw new InvalidOption('conflict is unknown', "give 'lastWrite', 'reject' or a function that merges")
  }
  if (onUnavailable !== 'error' && onUnavailable !== 'readonly') {
    throw new InvalidOption('onUnavailable is unknown', "give 'error' or 'readonly'")
  }
  return {
    idleMs,
    absoluteMs,
    touchEveryMs,
    graceMs: toMs(options.grace ?? '10s', 'grace'),
    deadlineMs: life(options.deadline ?? '500ms', 'deadline'),
    conflict,
    maxBytes: count(options.maxBytes ?? 65_536, 'maxBytes'),
    maxFields: count(options.maxFields ?? 128, 'maxFields', 1_000),
    maxPerUser: count(options.maxPerUser ?? 100, 'maxPerUser', 10_000),
    maxSessions: count(options.maxSessions ?? 100_000, 'maxSessions'),
    readonlyCopies:
      onUnavailable === 'readonly'
        ? {
            max: count(copies?.max ?? 10_000, 'copies.max'),
            lifeMs: toMs(copies?.life ?? '1m', 'copies.life'),
          }
        : undefined,
  }
}

export function life(value: Duration, name: string): number {
  const ms = Math.round(toMs(value, name))
  if (ms < 1) throw new InvalidOption(`${name} is below 1 ms`, 'give at least 1 ms')
  return ms
}

function count(value: number, name: string, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new InvalidOption(`${name} is ${String(value)}`, `give a whole number from 1 to ${most}`)
}
