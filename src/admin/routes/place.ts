import { NAMESPACE_SEPARATOR } from '../../base/key.ts'
import type { Cache } from '../../cache/cache.ts'
import type { RouteContext } from '../route.ts'

/** `users|admins|7`, as keys are listed, is the key 7 of the namespace admins of users. */
export function place({ cache, params }: RouteContext): { cache: Cache; key: string } {
  const path = params.key!.split(NAMESPACE_SEPARATOR)
  const key = path.pop()!
  let at = cache
  for (const name of path) at = at.namespace(name)
  return { cache: at, key }
}
