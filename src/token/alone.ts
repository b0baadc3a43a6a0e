import type { Locks } from '../lock/locks.ts'
import type { TokenLease } from './store.ts'

/** Longer than most endpoints take; renewed while it is held. */
const TTL = '15s'

/**
 * One process at a time per credential. A lock that was lost during the run does not undo what the
 * endpoint answered: the writes are fenced, and the answer is kept.
 */
export async function runAlone<T>(
  locks: Locks,
  key: string,
  waitMs: number,
  run: (lease: TokenLease) => Promise<T>,
): Promise<T | undefined> {
  const lock = locks.lock(`token:${key}`, { ttl: TTL })
  const lease = waitMs > 0 ? await lock.acquire({ wait: waitMs }) : await lock.tryAcquire()
  if (!lease) return undefined
  try {
    return await run({ fence: lease.fencingToken, signal: lease.signal })
  } finally {
    await lease.release()
  }
}
