import { InvalidValue } from '../base/errors.ts'
import type { Scope } from './core.ts'
import { BAD, open } from './entry.ts'
import type { WriteOptions } from './options.ts'
import type { Settings } from './settings.ts'
import type { Draft } from './store.ts'

/**
 * Encodes all values before anything is sent, so that a bad one stores none of them.
 * @throws InvalidValue when a value cannot be stored or does not match its schema
 */
export async function draftAll(
  scope: Scope,
  values: ReadonlyMap<string, unknown>,
  settings: Settings,
): Promise<Map<string, Draft>> {
  await scope.core.codec.prepare(settings.codec, '')
  const drafts = new Map<string, Draft>()
  for (const [name, value] of values) drafts.set(name, await draftOf(scope, name, value, settings))
  return drafts
}

async function draftOf(scope: Scope, name: string, value: unknown, s: Settings): Promise<Draft> {
  const { codec, random } = scope.core
  const { body, flags } = codec.encode(name, value, s)
  if (s.schema !== undefined) {
    const holder = { key: name, flags, body, memo: undefined }
    if ((await open(scope, holder, { ...s, l1: false }, () => BAD)) === BAD) {
      throw new InvalidValue('the value does not match its schema', 'mend the value or the schema')
    }
  }
  const ttl = value === undefined || value === null ? (s.negativeTtlMs ?? s.ttlMs) : s.ttlMs
  const ttlMs = Math.max(1, Math.round(s.jitter > 0 ? ttl * (1 - s.jitter * random.float()) : ttl))
  return { body, flags, tags: s.tags, ttlMs, staleMs: s.staleMs, loadMs: 0, etag: undefined }
}

/** @returns how many were stored; with a ttl of 0 none is, but the old values go */
export async function putAll(
  scope: Scope,
  drafts: ReadonlyMap<string, Draft>,
  settings: Settings,
  options: WriteOptions | undefined,
): Promise<number> {
  const { core, counters } = scope
  const wait = options?.wait ?? 'all'
  if (settings.ttlMs === 0 && settings.negativeTtlMs === undefined) {
    await core.store.invalidate({ keys: [...drafts.keys()] }, wait)
    return 0
  }
  const list = [...drafts].map(([key, draft]) => ({ key, draft }))
  const verdicts = await core.store.set(list, { wait, mark: options?.mark })
  const stored = verdicts.filter((verdict) => verdict === 'stored').length
  counters.sets += stored
  counters.bypassed += verdicts.filter((verdict) => verdict === 'bypassed').length
  return stored
}
