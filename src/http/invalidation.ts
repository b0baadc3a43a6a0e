import { pathByQuery, type Target, targetOf, urlTag } from './cache-key.ts'
import { Fields, toRaw } from './fields.ts'
import type { HttpRequest, HttpResponse } from './message.ts'
import type { Route } from './route.ts'

/** The tags that an unsafe request which did not fail invalidates (RFC 9111, 4.4). */
export function affectedTags(request: HttpRequest, response: HttpResponse, route: Route): readonly string[] {
  const tags = new Set(route.invalidates(request))
  const target = targetOf(request)
  if (target === undefined) return [...tags]
  const add = (path: string): void => {
    tags.add(urlTag(target.host, path))
    tags.add(urlTag(target.host, pathByQuery(path, route.query)))
  }
  add(target.path)
  const fields = new Fields(toRaw(response.headers))
  for (const name of ['location', 'content-location']) {
    const value = fields.lines(name)[0]
    const path = value === undefined ? undefined : sameOrigin(value, target)
    if (path !== undefined) add(path)
  }
  return [...tags]
}

/** Its path and query, if it lies on the same origin: others' URLs are not ours to touch. */
function sameOrigin(reference: string, base: Target): string | undefined {
  try {
    const origin = `${base.scheme}://${base.host === '' ? 'localhost' : base.host}`
    const url = new URL(reference, `${origin}${base.path}`)
    return url.origin === new URL(origin).origin ? url.pathname + url.search : undefined
  } catch {
    return undefined
  }
}
