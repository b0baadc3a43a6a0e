import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption, NotAcknowledged } from '../base/errors.ts'
import type { CacheStore, Wait } from './store.ts'

/** How long a mutation may keep its names uncached, and whom it waits for. */
export interface MutateOptions {
  /** Longest time that readers are kept from caching, should this process die meanwhile. @default '30s' */
  for?: Duration | undefined
  /** Whom it waits for, as for an invalidation. @default 'all' */
  wait?: Wait | undefined
}

/** The transaction is done, but that the cache forgot the old values is not confirmed. */
export class MutationNotAcknowledged<T = unknown> extends NotAcknowledged {
  /** What the transaction returned: it was committed. */
  readonly result: T

  constructor(result: T, cause: unknown) {
    super('the transaction is done, but its invalidation was not confirmed', { cause })
    this.result = result
  }
}

/** Fence, transaction, invalidation: see `Cache.mutate`. */
export async function mutate<T>(
  store: CacheStore,
  names: { readonly keys: readonly string[]; readonly tags: readonly string[] },
  tx: () => T | Promise<T>,
  options: MutateOptions = {},
): Promise<T> {
  if (names.keys.length + names.tags.length === 0) {
    throw new InvalidOption('mutate() names no keys and no tags', 'say what the transaction changes')
  }
  if (typeof tx !== 'function')
    throw new InvalidOption('the transaction is not a function', 'write mutate(names, () => …)')
  const ms = toMs(options.for ?? '30s', 'for')
  const wait = options.wait ?? 'all'
  // The database is there even when Redis is not: without a fence the transaction runs all the same.
  // Its names are journalled by then, so this process bypasses them, and the invalidation below says
  // whether it was confirmed.
  const fence = await store.fence(names, ms).catch(() => undefined)
  const end = (): Promise<void> => (fence ? fence.lift(wait) : store.invalidate(names, wait))
  let result: T
  try {
    result = await tx()
  } catch (error) {
    // Whether it committed is not known here, so the names are invalidated all the same; should
    // that not be confirmed, it is journalled, and the caller's own error matters more.
    await end().catch(() => undefined)
    throw error
  }
  try {
    await end()
  } catch (cause) {
    throw new MutationNotAcknowledged(result, cause)
  }
  return result
}
