import { NAMESPACE_SEPARATOR } from '../../base/key.ts'
import type { Cache } from '../../cache/cache.ts'
import type { RouteContext } from '../route.ts'

/** `users|admins|7`, as keys are listed, is the key 7 of the namespace admins of users. */
export function place({ cache, params }: RouteContext): { cache: Cache; key: string } {
  const { at, name } = placeOf(cache, params.key!)
  return { cache: at, key: name }
}

/**
 * A key, tag or pattern as lists of the whole cache show it, and the namespace that it stands in:
 * `users|admins|*` are all keys of one. A namespace itself is no pattern: `us*|7` stays one name.
 */
export function placeOf(cache: Cache, listed: string): { at: Cache; name: string; path: string } {
  const parts = listed.split(NAMESPACE_SEPARATOR)
  const name = parts.pop()!
  if (name === '' || parts.some((part) => part === '' || /[*?[\]\\]/.test(part))) {
    return { at: cache, name: listed, path: '' }
  }
  let at = cache
  for (const part of parts) at = at.namespace(part)
  return { at, name, path: parts.map((part) => part + NAMESPACE_SEPARATOR).join('') }
}
