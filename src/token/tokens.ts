import { encodeName } from '../base/key.ts'
import { Lru } from '../memory/lru.ts'
import { bearerFetch } from './bearer-fetch.ts'
import { TokenClient, type TokenCounters } from './client.ts'
import type { TokensOptions } from './options.ts'
import { TokenSource, type TokenSummary } from './source.ts'
import type { TokenStore } from './store.ts'

const MAX_SUBJECTS = 10_000

/** Tokens of one client for one subject. See `createTokens`. */
export class Tokens {
  readonly #client: TokenClient
  readonly #subjects: Lru<Tokens>
  readonly #source: TokenSource

  /** Made by `createTokens` and `for`. */
  constructor(client: TokenClient, subjects: Lru<Tokens>, subject: string) {
    this.#client = client
    this.#subjects = subjects
    this.#source = new TokenSource(client, subject)
  }

  /**
   * A token that is valid now. From process memory, else one round trip to the store, else one call
   * of the endpoint for all processes together.
   * @throws TokenEndpointError, TokenReauthNeeded
   * @throws RedisUnavailable, RedisTimeout for a refresh token grant while Redis is away
   */
  async get(): Promise<string> {
    return (await this.#source.current()).token.value
  }

  /**
   * `fetch` with the token. A 401 drops the token, if it is still that one, and the request is sent
   * once more with a new one, if its body is no stream.
   * @throws what `get` and `fetch` throw, ConfigError for an address outside `origins`
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const { settings } = this.#client
    return bearerFetch(this.#source, settings.fetch, settings.origins, input, init)
  }

  /** Says that an API refused this token. True when a new one may be had; nothing happens when it was replaced already. */
  invalidate(token: string): Promise<boolean> {
    return this.#source.refuse(this.#client.vault.fingerprint(token))
  }

  /**
   * Trades a code, or something else, for tokens and keeps them: `{ code, redirect_uri,
   * code_verifier }`. `grant_type` is `authorization_code` unless given.
   * @throws TokenEndpointError, RedisUnavailable, RedisTimeout, LockTimeout, LockUnavailable
   */
  exchange(form: Readonly<Record<string, string>>): Promise<void> {
    return this.#source.exchange(form)
  }

  /** Takes over a refresh token that came from elsewhere. Throws as `exchange`. */
  adopt(refreshToken: string): Promise<void> {
    return this.#source.adopt(refreshToken)
  }

  /** Forgets token and grant, in all processes within `local`. */
  forget(): Promise<void> {
    return this.#source.forget()
  }

  /** What is known, without the token. */
  describe(): Promise<TokenSummary> {
    return this.#source.describe()
  }

  /** The same client for another subject: a user whose refresh token it is, a shop, a tenant. */
  for(subject: string): Tokens {
    encodeName(subject, 'subject')
    const known = this.#subjects.get(subject)
    if (known) return known
    const tokens = new Tokens(this.#client, this.#subjects, subject)
    this.#subjects.set(subject, tokens, 1)
    return tokens
  }

  /** @internal For lists over all clients. */
  get store(): TokenStore {
    return this.#client.store
  }

  /** What was counted since the start of the process. */
  counters(): TokenCounters {
    return { ...this.#client.counts }
  }

  /** Ends background refreshes and the listening for the lock. */
  async close(): Promise<void> {
    this.#client.closed = true
    await this.#client.store.close()
  }
}

/**
 * Tokens of an OAuth client, in process memory or with `redis` shared between processes.
 *
 *   const kiotviet = createTokens({
 *     redis, tokenUrl, clientId, clientSecret, params: { scopes: 'PublicApi.Access' },
 *   })
 *   await kiotviet.get()
 *
 * @throws InvalidOption, InvalidKey, ConfigError
 */
export function createTokens(options: TokensOptions): Tokens {
  const subjects = new Lru<Tokens>({ maxEntries: MAX_SUBJECTS, maxBytes: MAX_SUBJECTS })
  return new Tokens(new TokenClient(options), subjects, '')
}
