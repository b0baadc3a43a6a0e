import { decodeName } from '../base/key.ts'
import { CliError } from './io.ts'
import { type Scope, scanNames } from './key-scan.ts'
import type { Session } from './session.ts'

export interface KeyList {
  readonly pattern: string
  readonly keys: readonly string[]
  readonly found: number
  readonly truncated: boolean
  readonly cursor: string | null
}

const BUDGET_MS = 5_000

export interface ListFlags extends Scope {
  readonly limit: number
  readonly cursor?: string | undefined
}

export async function listKeys(session: Session, pattern: string, flags: ListFlags): Promise<KeyList> {
  const { limit, cursor } = flags
  if (!flags.raw) {
    if (flags.foreign) throw new CliError('--foreign is for --raw')
    const page = await session.hf.cache.keys(pattern, { limit, cursor, budget: BUDGET_MS })
    return {
      pattern,
      keys: page.keys,
      found: page.found,
      truncated: page.truncated,
      cursor: page.cursor ?? null,
    }
  }
  if (cursor !== undefined) throw new CliError('--cursor goes with cached entries, not with --raw')
  const keys: string[] = []
  const until = performance.now() + BUDGET_MS
  let found = 0
  for await (const { names } of scanNames(session, pattern, flags)) {
    found += names.length
    keys.push(...names.slice(0, limit - keys.length))
    if (performance.now() > until) return { pattern, keys, found, truncated: true, cursor: null }
  }
  return { pattern, keys, found, truncated: false, cursor: null }
}

/** How people know a cached entry: without what Redis needs around it. */
export function shownName(name: string): string {
  const at = name.indexOf('}:e:')
  return name.startsWith('hf:{') && at > 0 ? decodeName(name.slice(at + 4)) : name
}
