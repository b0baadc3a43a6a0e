import { decodeName, encodeGlob } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import { type LookOptions, namePage, type PageEnd, pageRequest } from '../base/page.ts'
import type { ListableLockStore, LockState, Target } from './store.ts'

/** One lock that is held or waited for. */
export interface LockListing extends LockState {
  readonly name: string
  readonly kind: Target['kind']
}

/** One page of the locks of an instance. */
export interface LockPage extends PageEnd {
  readonly locks: readonly LockListing[]
}

const KINDS = ['lock', 'semaphore', 'rwlock'] as const
const LOOK_MS = 2_000
const OPTIONS = ['pattern', 'limit', 'cursor', 'budget']

export async function listLocks(store: ListableLockStore, options: LookOptions): Promise<LockPage> {
  refuseUnknown(options, OPTIONS, 'locks.list()')
  const glob = encodeGlob(options.pattern ?? '*')
  const request = pageRequest(store.clock, options)
  await store.opening()
  const { names, cursor, truncated } = await namePage((from) => store.scan(glob, from), request)
  // What is held and waited for has two keys.
  const looks = [...new Set(names)].map(async (name): Promise<LockListing> => {
    const at = name.indexOf(':')
    const kind = KINDS.find((one) => one === name.slice(0, at)) ?? 'lock'
    const id = name.slice(at + 1)
    return { name: decodeName(id), kind, ...(await store.inspect(target(kind, id), LOOK_MS)) }
  })
  const seen = await Promise.all(looks)
  return { locks: seen.filter((one) => one.holders.length + one.waiting > 0), cursor, truncated }
}

export async function evictLock(store: ListableLockStore, id: string): Promise<number> {
  await store.opening()
  const counts = await Promise.all(KINDS.map((kind) => store.evict(target(kind, id), LOOK_MS)))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Neither a look nor an eviction asks for mode or capacity. */
const target = (kind: Target['kind'], id: string): Target => ({ kind, id, mode: 'p', capacity: 1 })
