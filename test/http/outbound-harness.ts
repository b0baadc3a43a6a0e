import { createCache } from '../../src/cache/create.ts'
import { outbound } from '../../src/http/outbound.ts'
import type { OutboundOptions, OutboundRoute } from '../../src/http/outbound-options.ts'
import type { SeenRequest } from '../support/http-origin.ts'
import { type HttpOrigin, startOrigin } from '../support/http-origin.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'

export const SECRET = 'a secret of tests, long enough'

/** Answers with what it was asked and how often it was asked before. */
export function echoOrigin(delayMs = 0): Promise<HttpOrigin> {
  let count = 0
  return startOrigin((seen: SeenRequest, response) => {
    const n = ++count
    setTimeout(() => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ n, method: seen.method, path: seen.path, body: seen.body }))
    }, delayMs)
  })
}

export type Loose = Omit<OutboundOptions, 'cache' | 'routes'>

/** A caching fetch over process memory, all paths of the origin on one route. */
export function embedded(
  origin: HttpOrigin,
  route: Partial<OutboundRoute> = {},
  options: Partial<OutboundOptions> = {},
) {
  const cache = options.cache ?? createCache()
  const routes = [{ name: 'all', match: `GET|POST ${origin.url}/*`, ttl: '5m', ...route } as OutboundRoute]
  return { cache, call: outbound(fetch, { cache, identity: 'shared', routes, ...options }) }
}

/** The same for two processes that share one Redis. */
export async function pair(
  url: string,
  origin: HttpOrigin,
  route: Partial<OutboundRoute> = {},
  options: Partial<OutboundOptions> = {},
  setup: Parameters<typeof openCache>[1] = {},
) {
  const namespace = freshNamespace()
  const lives: LiveCache[] = [
    await openCache(url, { namespace, ...setup }),
    await openCache(url, { namespace, ...setup }),
  ]
  const calls = lives.map(({ cache }) => embedded(origin, route, { ...options, cache }).call)
  return {
    namespace,
    lives,
    calls: calls as [(typeof calls)[number], (typeof calls)[number]],
    close: async () => {
      for (const live of lives) await live.close()
    },
  }
}
