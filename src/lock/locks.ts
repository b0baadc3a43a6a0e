import { type Clock, systemClock } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { boundName, encodeName, encodePart } from '../base/key.ts'
import type { LookOptions } from '../base/page.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { RedisPort } from '../redis/port.ts'
import { evictLock, type LockPage, listLocks } from './listing.ts'
import { Lock, type RunOptions } from './lock.ts'
import { MemoryLockStore } from './memory-store.ts'
import { RedisLockStore } from './redis-store.ts'
import type { ListableLockStore, Mode, Target } from './store.ts'

/** What locks that are used alone are made of. */
export interface LocksOptions {
  /** Shared between processes by this Redis; without it, within this process. */
  redis?: RedisPort | undefined
  /** @default 'app' */
  namespace?: string | undefined
  clock?: Clock | undefined
  random?: Random | undefined
}

/** Two locks on one name: `read` is shared, `write` is alone. */
export interface ReadWriteLock {
  /** Shared with other readers. */
  readonly read: Lock
  /** Alone. */
  readonly write: Lock
}

const MAX_PERMITS = 10_000

/** The locks of one namespace. */
export class Locks {
  readonly store: ListableLockStore

  constructor(options: LocksOptions = {}) {
    const { redis, namespace = 'app', clock = systemClock, random = systemRandom } = options
    this.store = redis
      ? new RedisLockStore(redis, encodePart(namespace, 'namespace'))
      : new MemoryLockStore(clock, random)
  }

  /** One holder at a time, in the order of asking. */
  lock(name: string, options: RunOptions = {}): Lock {
    return new Lock(this.store, lockTarget(name), options, 'lock()')
  }

  /**
   * At most `permits` holders at a time, in the order of asking. All callers should give the same
   * number; each claim goes by its own.
   */
  semaphore(name: string, permits: number, options: RunOptions = {}): Lock {
    if (!Number.isInteger(permits) || permits < 1 || permits > MAX_PERMITS) {
      throw new InvalidOption(`permits is ${String(permits)}`, `give a whole number from 1 to ${MAX_PERMITS}`)
    }
    return new Lock(this.store, target('semaphore', name, 'p', permits), options, 'semaphore()')
  }

  /**
   * Many readers or one writer. A reader that comes while a writer waits stands behind it, so that a
   * stream of readers cannot keep writers out.
   */
  readWrite(name: string, options: RunOptions = {}): ReadWriteLock {
    return {
      read: new Lock(this.store, target('rwlock', name, 'r', 1), options, 'readWrite()'),
      write: new Lock(this.store, target('rwlock', name, 'w', 1), options, 'readWrite()'),
    }
  }

  /**
   * Locks, semaphores and read-write locks that are held or waited for, bounded in number and time.
   * @throws InvalidOption, RedisUnavailable, RedisTimeout
   */
  list(options: LookOptions = {}): Promise<LockPage> {
    return listLocks(this.store, options)
  }

  /**
   * By an operator: takes away every lease on what has this name. Holders learn it at their next
   * renewal; what they write until then carries a fencing token that is out of date. Answers how many
   * leases there were.
   * @throws InvalidKey, RedisUnavailable, RedisTimeout
   */
  evict(name: string): Promise<number> {
    const { id } = lockTarget(name)
    return evictLock(this.store, id)
  }

  /** Ends the listening; leases that are still held end with their ttl. */
  close(): void {
    this.store.close()
  }
}

/** What a lock of this name locks. @throws InvalidKey */
export const lockTarget = (name: string): Target => target('lock', name, 'p', 1)

function target(kind: Target['kind'], name: string, mode: Mode, capacity: number): Target {
  return { kind, id: boundName('', encodeName(name, 'lock name')), mode, capacity }
}
