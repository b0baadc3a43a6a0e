import { RedisReplyError, RedisTimeout, RedisUnavailable } from '../base/errors.ts'
import { LockTimeout, LockUnavailable } from '../lock/errors.ts'
import type { TokenClient } from './client.ts'
import { TokenEndpointError, TokenReauthNeeded } from './errors.ts'
import { type Held, held } from './life.ts'
import { type Minted, Minter } from './minter.ts'
import type { TokenLease, TokenState } from './store.ts'

/** What may be told of a token. */
export interface TokenSummary {
  readonly state: 'valid' | 'absent' | 'needs-reauth' | 'paused'
  /** Tells tokens apart without telling them. */
  readonly fingerprint: string | undefined
  readonly usableForMs: number
  readonly hasGrant: boolean
}

const MAX_ROUNDS = 3
const RETRY_STORE_MS = 1_000
const AFTER_FAILURE_MS = 250
/** Waiting for the lock may take this much longer than one call of the endpoint. */
const LINE_MS = 5_000

/**
 * The token of one client and subject: held in process memory for a moment, kept in the store,
 * made by one process at a time, renewed before it ends.
 */
export class TokenSource {
  readonly #client: TokenClient
  readonly #minter: Minter
  #held: Held | undefined
  #flight: Promise<Held> | undefined
  #behind: Promise<void> | undefined
  /** What the store could not take yet, a rotated refresh token perhaps: written before anything else. */
  #unsaved: { readonly fence: number; readonly write: Minted['write']; readonly at: number } | undefined

  constructor(client: TokenClient, subject: string) {
    this.#client = client
    this.#minter = new Minter(client, subject)
  }

  /** A usable token other than the one of version `refused`. */
  async current(refused?: string): Promise<Held> {
    for (let round = 1; ; round++) {
      const known = this.#held
      const now = this.#now()
      if (known && known.version !== refused && now < known.usableUntil && now < known.checkAt) {
        this.#client.counts.local++
        if (now >= known.refreshAt) this.#refreshBehind()
        return known
      }
      this.#flight ??= this.#resolve().finally(() => {
        this.#flight = undefined
      })
      const found = await this.#flight
      // A flight that took off before the refusal may bring the refused token once more.
      if (found.version !== refused || round === MAX_ROUNDS) return found
    }
  }

  /** Drops the token of this version, in all processes. True when another one may be had. */
  async refuse(version: string): Promise<boolean> {
    const { store, settings, counts } = this.#client
    if (this.#held?.version === version) this.#held = undefined
    if (this.#unsaved?.write.version === version && this.#unsaved.write.grant === undefined) {
      this.#unsaved = undefined
    }
    try {
      const reply = await store.drop(this.#minter.key, version, settings.dropEveryMs)
      if (reply === 'dropped') counts.dropped++
      return reply !== 'too-soon'
    } catch (error) {
      if (!isAway(error)) throw error
      // On its own this process may ask again, but not for every refusal.
      if (this.#minter.waitMs > 0) return false
      this.#minter.holdOff(settings.dropEveryMs)
      return true
    }
  }

  exchange(form: Readonly<Record<string, string>>): Promise<void> {
    return this.#inLine(async ({ fence }) => {
      const grant = { grant_type: 'authorization_code', ...form }
      await this.#keep(await this.#minter.ask(grant, undefined, undefined, undefined), fence)
    })
  }

  adopt(refreshToken: string): Promise<void> {
    const { store, vault, settings } = this.#client
    const grant = vault.seal(refreshToken, this.#minter.key, 'grant')
    return this.#inLine(async ({ fence }) => {
      this.#held = undefined
      this.#unsaved = undefined
      await store.write(this.#minter.key, fence, { kind: 'grant', grant, grantMs: settings.retainMs })
    })
  }

  async forget(): Promise<void> {
    this.#held = undefined
    this.#unsaved = undefined
    await this.#client.store.forget(this.#minter.key)
  }

  async describe(): Promise<TokenSummary> {
    const { token, dead, pause, grant } = await this.#client.store.read(this.#minter.key)
    return {
      state: token ? 'valid' : dead ? 'needs-reauth' : pause ? 'paused' : 'absent',
      fingerprint: token?.version,
      usableForMs: token?.leftMs ?? 0,
      hasGrant: grant !== undefined,
    }
  }

  async #resolve(): Promise<Held> {
    const { store, counts } = this.#client
    try {
      await this.#saveUnsaved()
      const known = this.#adopt(await store.read(this.#minter.key))
      if (!known) return await this.#fromEndpoint()
      counts.shared++
      if (this.#now() >= known.refreshAt) this.#refreshBehind()
      return known
    } catch (error) {
      if (!isAway(error)) throw error
      counts.alone++
      return this.#withoutStore(error)
    }
  }

  async #fromEndpoint(): Promise<Held> {
    try {
      return await this.#inLine((lease) => this.#renew(undefined, lease))
    } catch (error) {
      const last = this.#held
      const now = this.#now()
      if (!(error instanceof TokenEndpointError) || !last || now >= last.endsAt) throw error
      // In its margin it still works, and better a token near its end than none.
      const wait = Math.max(AFTER_FAILURE_MS, this.#minter.waitMs)
      this.#held = { ...last, usableUntil: Math.min(last.endsAt, now + wait), checkAt: now + wait }
      return this.#held
    }
  }

  /**
   * Alone among all processes: looks again, for most who waited find what the one before them made,
   * else makes a token. `old`: renew although this one is still usable.
   */
  async #renew(old: Held | undefined, { fence }: TokenLease): Promise<Held> {
    const state = await this.#client.store.read(this.#minter.key)
    const known = this.#adopt(state)
    if (known && known.version !== old?.version) return known
    if (state.dead) throw new TokenReauthNeeded(state.dead)
    if (state.pause) throw this.#paused(state.pause.leftMs)
    return this.#keep(await this.#minter.renew(state, fence), fence)
  }

  /** Stores what was granted before anybody uses it. */
  async #keep(minted: Minted, fence: number): Promise<Held> {
    const { store } = this.#client
    const made = this.#hold(minted)
    try {
      const written = await store.write(this.#minter.key, fence, minted.write)
      // Somebody with a newer lock was faster: theirs is what all others use.
      if (!written) return this.#adopt(await store.read(this.#minter.key)) ?? made
    } catch (error) {
      if (!isAway(error)) throw error
      this.#unsaved = { fence, write: minted.write, at: this.#now() }
    }
    return made
  }

  /** From this process alone: what it holds, else for client credentials a token of its own. */
  async #withoutStore(cause: unknown): Promise<Held> {
    const { settings } = this.#client
    const now = this.#now()
    const known = this.#held && now < this.#held.usableUntil ? this.#held : undefined
    const alone = settings.grant === 'client_credentials'
    const wait = this.#minter.waitMs
    if (known && (!alone || wait > 0 || now < known.refreshAt)) return this.#keepHolding(known)
    // A refresh token used by two processes at once is taken for stolen: never without the lock.
    if (!alone) throw cause
    if (wait > 0) throw this.#paused(wait)
    try {
      const minted = await this.#minter.renew(undefined, undefined)
      // Fence 0: whatever others stored meanwhile is as good and stays.
      this.#unsaved = { fence: 0, write: minted.write, at: this.#now() }
      return this.#hold(minted)
    } catch (error) {
      if (known) return this.#keepHolding(known)
      throw error
    }
  }

  #refreshBehind(): void {
    const old = this.#held
    const { store, closed } = this.#client
    if (!old || this.#behind || closed || this.#minter.waitMs > 0) return
    this.#behind = store
      .alone(this.#minter.key, 0, (lease) => this.#renew(old, lease))
      .then((made) => {
        // Somebody else is at it; the store has theirs in a moment.
        if (!made) this.#minter.holdOff(AFTER_FAILURE_MS)
      })
      // The old token is still good. The failure is counted, and nobody waits for this.
      .catch(() => this.#minter.holdOff(AFTER_FAILURE_MS))
      .finally(() => {
        this.#behind = undefined
      })
  }

  async #inLine<T>(run: (lease: TokenLease) => Promise<T>): Promise<T> {
    const { store, settings } = this.#client
    const timedOut = () => new TokenEndpointError('timeout', settings.url.host)
    try {
      let done: { readonly value: T } | undefined
      await store.alone(this.#minter.key, settings.deadlineMs + LINE_MS, async (lease) => {
        done = { value: await run(lease) }
      })
      if (!done) throw timedOut()
      return done.value
    } catch (error) {
      throw error instanceof LockTimeout ? timedOut() : error
    }
  }

  /** The stored token as the one that this process holds, `undefined` when there is none. */
  #adopt({ token }: TokenState): Held | undefined {
    const { vault, counts, settings } = this.#client
    if (!token) return undefined
    if (this.#held?.version === token.version) {
      this.#held = { ...this.#held, checkAt: this.#now() + settings.localMs }
      return this.#now() < this.#held.usableUntil ? this.#held : undefined
    }
    const opened = vault.openToken(token.body, this.#minter.key)
    if (!opened) {
      counts.corrupt++
      return undefined
    }
    this.#held = held(opened, token.version, this.#now(), token.leftMs, token.ageMs, this.#client)
    return this.#held
  }

  #hold({ token, write }: Minted): Held {
    this.#held = held(token, write.version, this.#now(), write.usableMs, write.ageMs, this.#client)
    return this.#held
  }

  #keepHolding(known: Held): Held {
    const ms = Math.min(RETRY_STORE_MS, this.#client.settings.localMs)
    this.#held = { ...known, checkAt: this.#now() + ms }
    return this.#held
  }

  async #saveUnsaved(): Promise<void> {
    const unsaved = this.#unsaved
    if (!unsaved) return
    const waited = this.#now() - unsaved.at
    const usableMs = unsaved.write.usableMs - waited
    if (usableMs > 0 || unsaved.write.grant !== undefined) {
      const ageMs = unsaved.write.ageMs + waited
      const write = { ...unsaved.write, usableMs: Math.max(1, usableMs), ageMs }
      await this.#client.store.write(this.#minter.key, unsaved.fence, write)
    }
    if (this.#unsaved === unsaved) this.#unsaved = undefined
  }

  #paused(retryAfter: number): TokenEndpointError {
    return new TokenEndpointError('paused', this.#client.settings.url.host, { retryAfter })
  }

  #now(): number {
    return this.#client.store.clock.mono()
  }
}

/** The store cannot be used now: away, full, or not to be locked. */
const isAway = (error: unknown): boolean =>
  error instanceof RedisUnavailable ||
  error instanceof RedisTimeout ||
  error instanceof RedisReplyError ||
  error instanceof LockUnavailable
