import { systemClock } from '../base/clock.ts'
import { toMs } from '../base/duration.ts'
import { systemRandom } from '../base/random.ts'
import { MemoryTokenStore } from './memory-store.ts'
import { settle, type TokenSettings, type TokensOptions } from './options.ts'
import { RedisTokenStore } from './redis-store.ts'
import type { TokenStore } from './store.ts'
import { TokenVault } from './vault.ts'

/** Counts since the start of the process. */
export interface TokenCounters {
  /** Calls of the token endpoint, and how many of them brought no token. */
  readonly calls: number
  readonly failures: number
  /** Answers from process memory, and from the store. */
  readonly local: number
  readonly shared: number
  /** Tokens that a 401 made us drop. */
  readonly dropped: number
  /** Answers given without the store because it was away. */
  readonly alone: number
  /** Stored tokens that could not be opened. */
  readonly corrupt: number
}

/** What the subjects of one client share. */
export class TokenClient {
  readonly settings: TokenSettings
  readonly store: TokenStore
  readonly vault: TokenVault
  readonly previous: readonly TokenVault[]
  readonly counts = { calls: 0, failures: 0, local: 0, shared: 0, dropped: 0, alone: 0, corrupt: 0 }
  closed = false

  constructor(options: TokensOptions) {
    this.settings = settle(options)
    const { redis, namespace = 'default', encryption, clientId, clientSecret } = options
    this.store =
      options.store ??
      (redis
        ? new RedisTokenStore(redis, namespace, toMs(options.storeDeadline ?? '500ms', 'storeDeadline'))
        : new MemoryTokenStore(options.clock ?? systemClock, options.random ?? systemRandom))
    const { random } = this.store
    const vaultFor = (secret: string | undefined) =>
      new TokenVault(namespace, clientId, secret, encryption, random)
    this.vault = vaultFor(clientSecret)
    this.previous = (options.previousSecrets ?? []).map(vaultFor)
  }
}
