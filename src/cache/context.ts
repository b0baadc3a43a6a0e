import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import type { Flight } from './flight.ts'
import type { LoadContext } from './options.ts'
import { fullTag } from './settings.ts'
import type { Entry } from './store.ts'

/** What a loader decided through its context. */
export class Plan {
  ttlMs: number | undefined
  staleMs: number | undefined
  readonly tags = new Set<string>()
  etag: string | undefined
  etagGiven = false
  kept = false
  skipped = false
}

export interface StaleValue {
  readonly entry: Entry
  readonly value: unknown
}

/** What `LoadContext` is made of; one per running load. */
export function createContext(
  flight: Flight,
  key: string,
  prefix: string,
  stale: StaleValue | undefined,
  now: number,
  plan: Plan,
): LoadContext<unknown> {
  const shown = stale && {
    value: stale.value,
    etag: stale.entry.etag,
    ageMs: Math.max(0, now - stale.entry.storedAt),
  }
  return {
    key,
    stale: shown,
    get signal() {
      return flight.signal
    },
    ttl(ttl, staleFor) {
      plan.ttlMs = toMs(ttl, 'ctx.ttl')
      if (staleFor !== undefined) plan.staleMs = toMs(staleFor, 'ctx.ttl stale')
    },
    tag(...tags) {
      for (const tag of tags) plan.tags.add(fullTag(tag, prefix))
    },
    etag(etag) {
      plan.etag = etag
      plan.etagGiven = true
    },
    keep() {
      if (shown === undefined) {
        throw new InvalidOption(
          'ctx.keep() was called without a stale value',
          'call it only where ctx.stale is set',
        )
      }
      plan.kept = true
      return shown.value
    },
    skip(value) {
      plan.skipped = true
      return value
    },
    fail(error) {
      throw error
    },
  }
}
