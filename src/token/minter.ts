import { HoldfastError } from '../base/errors.ts'
import type { TokenClient } from './client.ts'
import { askEndpoint, type Granted } from './endpoint.ts'
import { TokenEndpointError, TokenReauthNeeded } from './errors.ts'
import { lifeOf, pauseMs } from './life.ts'
import type { TokenState, TokenWrite } from './store.ts'
import type { Token } from './vault.ts'

/** How long a refused grant is remembered, unless a new one comes. */
const DEAD_MS = 86_400_000

/** What came of a call of the endpoint, ready to be stored. */
export interface Minted {
  readonly token: Token
  readonly write: Extract<TokenWrite, { kind: 'token' }>
}

/** Asks the endpoint for one client and subject, and remembers when not to ask it. */
export class Minter {
  readonly key: string
  readonly #client: TokenClient
  readonly #parts: readonly unknown[]
  #notBefore = 0
  #failures = 0

  constructor(client: TokenClient, subject: string) {
    const { url, grant, params } = client.settings
    const sorted = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1))
    this.#client = client
    this.#parts = [url.href, grant, subject, sorted]
    this.key = client.vault.key(this.#parts)
  }

  /** ms for which this process does not ask. */
  get waitMs(): number {
    return Math.max(0, this.#notBefore - this.#client.store.clock.mono())
  }

  holdOff(ms: number): void {
    this.#notBefore = Math.max(this.#notBefore, this.#client.store.clock.mono() + ms)
  }

  /** By the configured grant. `fence`: we are alone; without it the store is away. */
  async renew(state: TokenState | undefined, fence: number | undefined): Promise<Minted> {
    if (this.#client.settings.grant === 'client_credentials') {
      return this.ask({ grant_type: 'client_credentials' }, undefined, fence, state)
    }
    const grant = state && (this.#open(state) ?? (await this.#inherit()))
    if (grant === undefined) throw new TokenReauthNeeded(undefined)
    try {
      return await this.ask({ grant_type: 'refresh_token', refresh_token: grant }, grant, fence, state)
    } catch (error) {
      if (!(error instanceof TokenEndpointError) || error.error !== 'invalid_grant') throw error
      if (fence !== undefined) await this.#note(fence, { kind: 'dead', error: error.error, forMs: DEAD_MS })
      throw new TokenReauthNeeded(error.error)
    }
  }

  /** @param used the refresh token that was sent: kept where the answer has no new one */
  async ask(
    form: Readonly<Record<string, string>>,
    used: string | undefined,
    fence: number | undefined,
    state: TokenState | undefined,
  ): Promise<Minted> {
    const { store, counts } = this.#client
    try {
      const granted = await this.#call(form)
      this.#failures = 0
      return this.#minted(granted, used)
    } catch (error) {
      counts.failures++
      if (error instanceof TokenEndpointError && error.error !== 'invalid_grant') {
        const failures = Math.max(this.#failures, state?.pause?.failures ?? 0) + 1
        const forMs = pauseMs(error, failures, store.random)
        this.#failures = failures
        this.holdOff(forMs)
        if (fence !== undefined) await this.#note(fence, { kind: 'pause', forMs, failures })
      }
      throw error
    }
  }

  /**
   * A kept connection that the endpoint has closed meanwhile looks like a broken network. Where asking
   * twice does no harm, it is asked again at once; a refresh token or a code must not be sent twice.
   */
  async #call(form: Readonly<Record<string, string>>): Promise<Granted> {
    const { settings, store, counts } = this.#client
    const ask = () => {
      counts.calls++
      return askEndpoint(settings, store.clock, form, settings.clientSecret)
    }
    try {
      return await ask()
    } catch (error) {
      const isBroken = error instanceof TokenEndpointError && error.reason === 'network'
      if (!isBroken || form.grant_type !== 'client_credentials') throw error
      return ask()
    }
  }

  #minted(granted: Granted, used: string | undefined): Minted {
    const { vault, settings, store } = this.#client
    const elapsed = store.clock.mono() - granted.sentAt
    const grant = granted.refreshToken ?? used
    const { value, type, scope, lifeMs = settings.defaultLifeMs } = granted
    const { usableMs, marginMs } = lifeOf(lifeMs, elapsed, settings.marginMs)
    const token: Token = { value, type, scope, marginMs }
    const write = {
      kind: 'token',
      body: vault.seal(token, this.key, 'token'),
      version: vault.fingerprint(value),
      usableMs,
      ageMs: elapsed,
      grant: grant === undefined ? undefined : vault.seal(grant, this.key, 'grant'),
      grantMs: grant === undefined ? 0 : (granted.refreshLifeMs ?? settings.retainMs),
    } as const
    return { token, write }
  }

  /** A note for the other processes; what the endpoint said counts more than whether it could be left. */
  async #note(fence: number, write: TokenWrite): Promise<void> {
    try {
      await this.#client.store.write(this.key, fence, write)
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
    }
  }

  #open(state: TokenState): string | undefined {
    return state.grant === undefined ? undefined : this.#client.vault.openGrant(state.grant, this.key)
  }

  /** A refresh token stored under a client secret that was in use before. */
  async #inherit(): Promise<string | undefined> {
    for (const vault of this.#client.previous) {
      const key = vault.key(this.#parts)
      const { grant } = await this.#client.store.read(key)
      const opened = grant === undefined ? undefined : vault.openGrant(grant, key)
      if (opened !== undefined) return opened
    }
    return undefined
  }
}
