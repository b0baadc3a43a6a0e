import type { Scope } from './core.ts'
import { BAD, covers, open } from './entry.ts'
import type { Settings } from './settings.ts'
import type { Outcome } from './stats.ts'

export interface Found {
  readonly isFound: boolean
  readonly value: unknown
  readonly outcome: Outcome
}

/** The fresh value of a name, from process memory or else with one read, without loading. */
export async function lookUp(scope: Scope, name: string, s: Settings): Promise<Found> {
  const { store } = scope.core
  const local = s.l1 ? store.peek(name) : undefined
  if (local !== undefined && covers(local, s.tags) && local.freshUntil > store.serverNow()) {
    const value = await open(scope, local, s)
    if (value !== BAD) return { isFound: true, value, outcome: 'l1' }
  }
  const reply = await store.read(name, s.tags)
  if (reply.state === 'found' && reply.entry !== local && reply.entry.freshUntil > store.serverNow()) {
    const value = await open(scope, reply.entry, s)
    if (value !== BAD) return { isFound: true, value, outcome: store.shared ? 'l2' : 'l1' }
  }
  return { isFound: false, value: undefined, outcome: reply.state === 'down' ? 'error' : 'miss' }
}
