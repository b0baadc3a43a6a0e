/**
 * Every error that Holdfast throws: one base class, one table of codes. A code is stable across
 * releases; messages are not. Messages never hold a value, a secret or a full key.
 */
const BRAND = Symbol.for('holdfast.error')

/** Codes and what each means; `docs/` prints this table and a test holds the two together. */
export const ERROR_CODES = {
  INVALID_KEY: 'A key or tag is not a usable name.',
  INVALID_OPTION: 'An option has a value of the wrong type or out of range.',
  INVALID_VALUE: 'A value cannot be stored as it is.',
  CONFIG: 'The configuration cannot work as given.',
  CLOSED: 'The instance was closed.',
  REDIS_UNAVAILABLE: 'No proven connection to Redis at the moment; the call was not sent.',
  REDIS_TIMEOUT:
    'Redis did not answer in time, or the connection was lost first; the call may still take effect.',
  REDIS_REPLY: 'Redis answered with an error.',
  NOT_ACKNOWLEDGED: 'An invalidation was not acknowledged; it is journalled and will be replayed.',
  LOAD_FAILED: 'The loader failed with something that is not an Error.',
  LOAD_TIMEOUT: 'The loader did not settle within the hard timeout.',
  LOAD_SKIPPED: 'The bulkhead for loads is full.',
  LIMIT_EXCEEDED: 'A limit was reached where waiting for it was no option.',
  LOCK_UNAVAILABLE: 'The lock could not be asked for; nobody was let in.',
  LOCK_TIMEOUT: 'Somebody else holds the lock and the time to wait is over.',
  LOCK_LOST: 'The lock ended before its holder gave it back.',
  ONCE_UNAVAILABLE: 'The record of the run could not be read or written.',
  ONCE_RUNNING: 'Another run under this key has not ended.',
  ONCE_MISMATCH: 'The key was used before with another payload.',
  ONCE_INDETERMINATE: 'A run under this key died; whether it took effect is unknown.',
  ONCE_FAILED: 'The run under this key failed for good.',
  ONCE_NO_RESULT: 'The run under this key ended well, but its result could not be kept.',
  ONCE_SUPERSEDED: 'Another run took over this key; what this one did was not recorded.',
  QUEUE_UNAVAILABLE: 'The message was not stored.',
  QUEUE_UNCERTAIN: 'The message may be stored or not; add it again with the same id.',
  QUEUE_FULL: 'The bound on depth, age or spilled bytes is reached.',
  QUEUE_MISMATCH: 'The queue exists with other settings, or the durability asked for cannot be had.',
  INVALID_MESSAGE: 'A message is too large, not serialisable, or against the schema.',
  APPLY_TIMEOUT: 'The database did not finish in time; the transaction may have been committed or not.',
  SESSION_READONLY: 'The session came from a local copy while Redis is away; it cannot be changed.',
  SESSION_CONFLICT: 'Another request changed the same fields of the session meanwhile.',
  SESSION_REVOKED: 'The sessions of the user were revoked while the login was being checked.',
  TOKEN_ENDPOINT: 'The token endpoint refused, failed, or answered with something that is no token.',
  TOKEN_REAUTH: 'The grant is dead: its owner has to authorise again.',
} as const

/** A code of `ERROR_CODES`: the same across releases. */
export type ErrorCode = keyof typeof ERROR_CODES

/**
 * Every error of this package: a `code`, a message, and in `mend` what to do about it. Never a value or
 * a full key.
 */
export class HoldfastError extends Error {
  readonly code: ErrorCode
  /** How to mend it, one sentence. Also part of `message`. */
  readonly mend: string

  constructor(code: ErrorCode, what: string, mend: string, options?: ErrorOptions) {
    super(`${what}; ${mend} [${code}]`, options)
    this.name = new.target.name
    this.code = code
    this.mend = mend
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** Holds across two copies of the package in one process. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: each subclass inherits this method; only the base goes by the brand
    if (this !== HoldfastError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && BRAND in value
  }
}

/** A key or tag that is no usable name. Thrown before anything is sent. */
export class InvalidKey extends HoldfastError {
  constructor(what: string, mend: string) {
    super('INVALID_KEY', what, mend)
  }
}

/** An option that is unknown, of the wrong type or out of range. Thrown before anything is sent. */
export class InvalidOption extends HoldfastError {
  constructor(what: string, mend: string) {
    super('INVALID_OPTION', what, mend)
  }
}

/** A value that would not come back as it went in, or is too large. */
export class InvalidValue extends HoldfastError {
  constructor(what: string, mend: string, options?: ErrorOptions) {
    super('INVALID_VALUE', what, mend, options)
  }
}

/** A configuration that cannot work as it stands: waiting does not help. */
export class ConfigError extends HoldfastError {
  constructor(what: string, mend: string, options?: ErrorOptions) {
    super('CONFIG', what, mend, options)
  }
}

/** The instance was closed before this call. */
export class Closed extends HoldfastError {
  constructor(what = 'this Holdfast instance is closed') {
    super('CLOSED', what, 'create a new instance, or close it only at shutdown')
  }
}

/** Nothing was sent: safe to retry or to fall back. */
export class RedisUnavailable extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super('REDIS_UNAVAILABLE', what, 'see health() for the cause; calls resume by themselves', options)
  }
}

/** Sent, unanswered: the outcome is unknown. */
export class RedisTimeout extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super('REDIS_TIMEOUT', what, 'check the server and the network, or raise the deadline', options)
  }
}

/** The server refused. `prefix` is the first word of its answer: NOSCRIPT, OOM, READONLY, MOVED … */
export class RedisReplyError extends HoldfastError {
  readonly prefix: string
  constructor(message: string, options?: ErrorOptions) {
    super('REDIS_REPLY', `Redis answered: ${message}`, 'look the word up in the Redis documentation', options)
    this.prefix = /^[A-Z]+/.exec(message)?.[0] ?? ''
  }
}

/** An invalidation that Redis did not confirm in time. It is journalled, and replayed by this process. */
export class NotAcknowledged extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super(
      'NOT_ACKNOWLEDGED',
      what,
      'it stays in the journal and this process bypasses Redis for these names until it is replayed',
      options,
    )
  }
}

/** A loader failed with something that is no Error; `cause` is that. */
export class LoadFailed extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super('LOAD_FAILED', what, 'reject with an Error, so that callers see the cause', options)
  }
}

/** A caller waited for a load until `timeout.hard`. The load goes on. */
export class LoadTimeout extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super('LOAD_TIMEOUT', what, 'make the loader faster, heed ctx.signal, or raise timeout.hard', options)
  }
}

/** A load that was not begun because too many run at the same time while Redis is away. */
export class LoadSkipped extends HoldfastError {
  constructor(what: string) {
    super('LOAD_SKIPPED', what, 'raise maxConcurrentLoads, or shed load earlier')
  }
}
