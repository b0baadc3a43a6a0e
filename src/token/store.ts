/**
 * The port between what a token means (grants, endpoints, refresh ahead: above) and the place where
 * it is kept (below): process memory or Redis. Bodies are sealed before they get here.
 */
import type { Clock } from '../base/clock.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'

/** What is kept under one key. Lives are relative to the answer, so that no two clocks are compared. */
export interface TokenState {
  readonly token:
    | { readonly body: string; readonly version: string; readonly leftMs: number; readonly ageMs: number }
    | undefined
  /** The sealed refresh token. */
  readonly grant: string | undefined
  /** OAuth code of the refusal that ended the grant. */
  readonly dead: string | undefined
  /** How long the refusal is remembered; 0 where there is none. */
  readonly deadLeftMs: number
  /** The endpoint failed; nobody asks it for this long. */
  readonly pause: { readonly leftMs: number; readonly failures: number } | undefined
}

/** What to change. Each write under the lock carries its fence; a smaller one than is stored is refused. */
export type TokenWrite =
  | {
      readonly kind: 'token'
      readonly body: string
      readonly version: string
      readonly usableMs: number
      readonly ageMs: number
      /** A new refresh token; undefined keeps the one there is and extends its life. */
      readonly grant: string | undefined
      readonly grantMs: number
    }
  /** A refresh token from outside: forgets token, refusal and pause. */
  | { readonly kind: 'grant'; readonly grant: string; readonly grantMs: number }
  /** The grant was refused for good: forgets it. A token that it brought is good until it ends. */
  | { readonly kind: 'dead'; readonly error: string; readonly forMs: number }
  | { readonly kind: 'pause'; readonly forMs: number; readonly failures: number }

/** `dropped`; `other`: another token is there already; `too-soon`: one was dropped a moment ago. */
export type DropReply = 'dropped' | 'other' | 'too-soon'

export interface TokenLease {
  readonly fence: number
  readonly signal: AbortSignal
}

export interface TokenStore {
  readonly shared: boolean
  readonly clock: Clock
  readonly random: Random
  read(key: string): Promise<TokenState>
  /** False: somebody with a newer fence wrote meanwhile. */
  write(key: string, fence: number, write: TokenWrite): Promise<boolean>
  /** Forgets the token if it is still that one, and at most once in `everyMs`. */
  drop(key: string, version: string, everyMs: number): Promise<DropReply>
  forget(key: string): Promise<void>
  /** Keys of what is kept in this namespace, by glob over what stands between their braces. */
  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch>
  /**
   * Runs alone among all processes. `waitMs` 0 = `undefined` when somebody else is at it.
   * @throws LockTimeout, LockUnavailable
   */
  alone<T>(key: string, waitMs: number, run: (lease: TokenLease) => Promise<T>): Promise<T | undefined>
  close(): Promise<void>
}
