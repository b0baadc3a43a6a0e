import { InvalidKey } from '../base/errors.ts'
import { decodeName, encodeGlob, encodePart } from '../base/key.ts'
import { type NameBatch, scanNames } from '../base/name-scan.ts'
import { refuseUnknown } from '../base/options.ts'
import { type LookOptions, namePage, type PageEnd, pageRequest } from '../base/page.ts'
import type { TokenSummary } from './source.ts'
import type { TokenStore } from './store.ts'

/** What may be told of a token that is kept. Lives in ms from now. */
export interface TokenListing extends TokenSummary {
  /** Names it for `drop`: the client id, and a digest of what tells its tokens apart. */
  readonly name: string
  readonly client: string
  /** How long ago it was obtained; undefined without a token. */
  readonly ageMs: number | undefined
  /** The endpoint refused, or fails: nobody asks it for this long. */
  readonly refusedForMs: number
}

export interface TokenPage extends PageEnd {
  readonly tokens: readonly TokenListing[]
}

const OPTIONS = ['pattern', 'limit', 'cursor', 'budget']
const NAME = /^[\x21-\x7a|~]{1,600}$/

/** Tokens of all clients of an instance: one store in Redis, or those of this process. */
export class TokenDirectory {
  readonly #stores: () => readonly TokenStore[]
  readonly #prefix: string

  /** @param namespace of the instance */
  constructor(namespace: string, stores: () => readonly TokenStore[]) {
    this.#stores = stores
    this.#prefix = `hf:${encodePart(namespace, 'namespace')}:token:`
  }

  /** @throws InvalidOption, RedisUnavailable, RedisTimeout */
  async list(options: LookOptions = {}): Promise<TokenPage> {
    refuseUnknown(options, OPTIONS, 'tokens.list()')
    const stores = this.#stores()
    if (stores.length === 0) return { tokens: [], cursor: undefined, truncated: false }
    const glob = encodeGlob(options.pattern ?? '*')
    const keys = await keysOf(stores, glob)
    const scan = (from: string | undefined): AsyncIterable<NameBatch> =>
      keys
        ? scanNames(
            () => keys.keys(),
            '*',
            () => true,
            from,
          )
        : stores[0]!.scan(glob, from)
    const { names, cursor, truncated } = await namePage(scan, pageRequest(stores[0]!.clock, options))
    const tokens = names.map((key) => listing(keys?.get(key) ?? stores[0]!, key))
    return { tokens: await Promise.all(tokens), cursor, truncated }
  }

  /**
   * Forgets a token, but not the grant that makes a new one; other processes stop using it within
   * `local`. False: there is none, or one was dropped a moment ago.
   * @throws InvalidKey, RedisUnavailable, RedisTimeout
   */
  async drop(name: string): Promise<boolean> {
    if (!NAME.test(name)) throw new InvalidKey('this is no name of a token', 'take it from the list')
    const key = `${this.#prefix}{${name}}`
    for (const store of this.#stores()) {
      const { token } = await store.read(key)
      if (token !== undefined) return (await store.drop(key, token.version, 0)) === 'dropped'
    }
    return false
  }
}

/** In process memory each client has a store of its own: which key is whose. */
async function keysOf(
  stores: readonly TokenStore[],
  glob: string,
): Promise<ReadonlyMap<string, TokenStore> | undefined> {
  if (stores[0]!.shared) return undefined
  const keys = new Map<string, TokenStore>()
  for (const store of stores) {
    for await (const batch of store.scan(glob, undefined)) for (const key of batch.keys) keys.set(key, store)
  }
  return keys
}

async function listing(store: TokenStore, key: string): Promise<TokenListing> {
  const { token, grant, dead, deadLeftMs, pause } = await store.read(key)
  const name = key.slice(key.indexOf('{') + 1, -1)
  return {
    name,
    client: decodeName(name.slice(0, Math.max(0, name.lastIndexOf('~')))),
    state: token ? 'valid' : dead ? 'needs-reauth' : pause ? 'paused' : 'absent',
    fingerprint: token?.version,
    usableForMs: token?.leftMs ?? 0,
    ageMs: token?.ageMs,
    refusedForMs: dead ? deadLeftMs : (pause?.leftMs ?? 0),
    hasGrant: grant !== undefined,
  }
}
