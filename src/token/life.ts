import type { Random } from '../base/random.ts'
import type { TokenClient } from './client.ts'
import type { TokenEndpointError } from './errors.ts'
import type { Token } from './vault.ts'

/** A token in the memory of this process. Times on the monotonic clock. */
export interface Held {
  readonly token: Token
  readonly version: string
  /** For the Authorization header. */
  readonly header: string
  readonly usableUntil: number
  /** In the margin it is used only while the endpoint brings no other. */
  readonly endsAt: number
  /** From then on it is renewed behind its users. */
  readonly refreshAt: number
  /** From then on the store is looked at before it is used: another process may have dropped it. */
  readonly checkAt: number
}

const MIN_MARGIN_MS = 60_000
const MARGIN_SHARE = 0.05
/** Renewed in the last tenth to fifth of its usable life: processes should not all try at once. */
const AHEAD_MIN = 0.1
const AHEAD_SPREAD = 0.1
const WAY_MS = 5_000
const PAUSE_MIN_MS = 250
const PAUSE_MAX_MS = 30_000

/**
 * How long a token is used: what is left of its life less the margin, which is a twentieth of the
 * life and at least a minute, but never more than half: a token of three seconds is used for one
 * and a half.
 */
export function lifeOf(
  lifeMs: number,
  elapsedMs: number,
  marginMs: number | undefined,
): { readonly usableMs: number; readonly marginMs: number } {
  const margin = Math.min(marginMs ?? Math.max(MIN_MARGIN_MS, lifeMs * MARGIN_SHARE), lifeMs / 2)
  return { usableMs: Math.max(1, lifeMs - margin - elapsedMs), marginMs: margin }
}

export function held(
  token: Token,
  version: string,
  now: number,
  usableMs: number,
  ageMs: number,
  { settings, store }: TokenClient,
): Held {
  const ahead = AHEAD_MIN + AHEAD_SPREAD * store.random.float()
  return {
    token,
    version,
    header: `${token.type} ${token.value}`,
    usableUntil: now + usableMs,
    // The last bit is for the way of the request.
    endsAt: now + usableMs + Math.max(0, token.marginMs - Math.min(WAY_MS, token.marginMs / 4)),
    refreshAt: now + usableMs - (usableMs + ageMs) * ahead,
    checkAt: now + settings.localMs,
  }
}

/** What the endpoint asked for, else longer with each failure, with jitter. */
export function pauseMs(error: TokenEndpointError, failures: number, random: Random): number {
  if (error.retryAfter !== undefined) return error.retryAfter
  const base = error.reason === 'refused' ? PAUSE_MAX_MS / 2 : PAUSE_MIN_MS * 2 ** Math.min(failures - 1, 10)
  return Math.min(PAUSE_MAX_MS, base) * (0.75 + random.float() / 2)
}
