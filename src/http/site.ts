import { InvalidOption } from '../base/errors.ts'
import { pathByQuery, type Target, targetOf, urlTag } from './cache-key.ts'
import type { Route } from './route.ts'

/** Turns the URLs that people write into the tags of what is stored under them. */
export class Site {
  readonly #origin: Target | undefined

  /** @throws InvalidOption */
  constructor(origin: string | undefined) {
    if (origin === undefined) return
    this.#origin = absolute(origin)
    if (this.#origin?.path !== '/') {
      throw new InvalidOption('origin is not scheme and host', `write 'https://shop.example'`)
    }
  }

  /** @throws InvalidOption */
  tagOf(url: string, route: Route): string {
    const isPath = url.startsWith('/')
    if (isPath && this.#origin === undefined) {
      throw new InvalidOption(
        'purge() was given a path, and the cache does not know of which host',
        `give an absolute URL, or createHttpCache({ origin: 'https://shop.example' })`,
      )
    }
    const target = isPath ? targetOf({ method: 'GET', url, headers: {}, ...this.#origin }) : absolute(url)
    if (!target) throw new InvalidOption('purge() was given what is no URL', `write 'https://host/path'`)
    return urlTag(target.host, pathByQuery(target.path, route.query))
  }
}

function absolute(url: string): Target | undefined {
  const match = /^(https?):\/\/([^/?#]+)/i.exec(url)
  if (!match) return undefined
  const scheme = match[1]!.toLowerCase() === 'https' ? 'https' : 'http'
  return targetOf({ method: 'GET', url: url.replace(/#.*$/, ''), headers: {}, scheme, host: match[2]! })
}
