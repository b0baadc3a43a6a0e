import type { LockListing } from '../../lock/listing.ts'
import type { LockAnswer, LockReleased, LocksAnswer } from '../answers/locks.ts'
import { Refused } from '../problem.ts'
import { PAGE_QUERY, pageOf } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

const MOST = 500
const MODES = { r: 'read', w: 'write' } as const

export const lockRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/locks',
    permission: 'locks.read',
    summary: 'Locks that are held or waited for: holder, fencing token, lease, waiters.',
    query: PAGE_QUERY,
    handle: async ({ hf, query }): Promise<LocksAnswer> => {
      const { locks, cursor, truncated } = await hf.operations.locks(pageOf(query, MOST))
      return { locks: locks.map(answerOf), cursor, truncated }
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/locks/:name',
    permission: 'locks.release',
    summary: 'Takes a lock away from its holder, whose fencing token is out of date from then on.',
    query: { confirm: 'The name once more.' },
    handle: release,
  },
]

function answerOf({ name, kind, holders, waiting }: LockListing): LockAnswer {
  // The newest, where there are several.
  const [first] = [...holders].sort((a, b) => b.fence - a.fence)
  const letter = first?.mode
  return {
    name,
    kind,
    mode: kind === 'lock' ? 'exclusive' : kind === 'semaphore' ? 'permit' : MODES[letter === 'r' ? 'r' : 'w'],
    holder: first?.holder ?? null,
    fencingToken: first === undefined ? null : String(first.fence),
    leaseLeftMs: first?.leaseMs ?? 0,
    heldMs: first?.heldMs ?? 0,
    holders: holders.length,
    waiters: waiting,
  }
}

async function release({ hf, params, query, record }: RouteContext): Promise<LockReleased> {
  const name = params.name!
  if (query.get('confirm') !== name) {
    throw new Refused(400, 'Taking a lock away needs confirm=<its name>: its holder may be at work.')
  }
  const released = await hf.operations.evictLock(name)
  if (released === 0) throw new Refused(404, 'Nobody holds a lock of this name.')
  await record('locks.release', name, 'done', released)
  return { name, released }
}
