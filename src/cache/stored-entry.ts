import type { Draft, Entry } from './store.ts'

/** A draft as an entry, stored at `now` in the store's own time base and charged with `size` bytes. */
export function storedEntry(key: string, draft: Draft, now: number, size: number): Entry {
  return {
    key,
    flags: draft.flags,
    tags: draft.tags,
    storedAt: now,
    freshUntil: now + draft.ttlMs,
    staleUntil: now + draft.ttlMs + draft.staleMs,
    loadMs: draft.loadMs,
    etag: draft.etag,
    body: draft.body,
    memo: undefined,
    size,
  }
}
