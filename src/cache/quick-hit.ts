import { BAD, open } from './entry.ts'
import { Memo } from './holder.ts'
import { type Ask, getOrLoad } from './load.ts'
import type { Outcome } from './stats.ts'

/**
 * `getOrLoad` for the common case, an L2 hit of a plain fresh value: one read and two promises.
 * Everything else goes the whole way, with what the store has answered already.
 */
export function getQuickly(ask: Ask, done: (outcome: Outcome) => void): Promise<unknown> {
  const { scope, name, settings: s } = ask
  const { core } = scope
  const isPlain =
    core.store.shared && !s.signal && s.schema === undefined && s.refreshAhead === 0 && s.xfetch === 0
  if (!isPlain || core.closed || core.flights.has(name)) return getOrLoad(ask, done)
  return core.store.read(name, s.tags).then((reply) => {
    const isHit = reply.state === 'found' && reply.entry.freshUntil > core.store.serverNow()
    if (!isHit || reply.entry.flags !== '' || core.closed) return getOrLoad(ask, done, undefined, reply)
    const value = open(scope, reply.entry, s)
    if (value === BAD) {
      const head = { flight: undefined, stale: undefined, force: true, down: false }
      return getOrLoad(ask, done, head, reply)
    }
    if (reply.entry.memo instanceof Memo) reply.entry.memo.tags = s.rawTags
    done('l2')
    return value
  })
}
