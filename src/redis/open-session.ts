import { RedisTimeout, RedisUnavailable } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import { needsCommand } from './dial-error.ts'
import type { Identity } from './identity.ts'
import { identify, incarnationOf } from './identity.ts'
import type { Dialer, Link, Target } from './link.ts'
import type { SessionEvents } from './session.ts'
import { Session } from './session.ts'
import type { RedisSettings } from './settings.ts'

export interface Opened {
  readonly session: Session
  readonly identity: Identity
  readonly incarnation: string
}

/** A server that answers but must not be used: it is no master, or not yet. */
export class WrongRole extends RedisUnavailable {}

/**
 * Dials one link and makes it prove role and incarnation within the handshake deadline. Whatever
 * happens, no half-open socket stays behind and no late failure goes unhandled.
 */
export async function openSession(
  dialer: Dialer,
  target: Target | undefined,
  settings: RedisSettings,
  events: SessionEvents,
  signal: AbortSignal,
): Promise<Opened> {
  const { clock, handshakeMs } = settings
  const startedAt = clock.mono()
  const link = await dialWithin(dialer, target, settings, signal)
  const session = new Session(link, settings, events)
  if (signal.aborted) session.end(signal.reason as Error)
  signal.addEventListener('abort', () => session.end(signal.reason as Error), {
    once: true,
    signal: session.ended,
  })
  try {
    const remaining = Math.max(1, handshakeMs - (clock.mono() - startedAt))
    const identity = await identify(session, remaining, () => clock.mono())
    if (identity.role !== 'master') {
      throw new WrongRole(
        `${link.address} is a ${identity.role === 'slave' ? 'replica' : identity.role}, not a master`,
      )
    }
    return { session, identity, incarnation: incarnationOf(identity) }
  } catch (error) {
    session.end(error as Error)
    throw needsCommand(error, link.address, '+info +time +ping')
  }
}

/** Dials within the handshake deadline, and closes what comes too late. */
export function dialWithin(
  dialer: Dialer,
  target: Target | undefined,
  settings: RedisSettings,
  signal: AbortSignal,
): Promise<Link> {
  const { clock, handshakeMs } = settings
  return new Promise((resolve, reject) => {
    const abort = new AbortController()
    let given = false
    const finish = (act: () => void) => {
      if (given) return
      given = true
      timer.cancel()
      signal.removeEventListener('abort', onClose)
      act()
    }
    const giveUp = (cause: Error) =>
      finish(() => {
        abort.abort(cause)
        reject(cause)
      })
    const onClose = () => giveUp(signal.reason as Error)
    const where = target ? formatAddress(target.host, target.port) : dialer.label
    // A server that waits for a command in plain text takes the handshake for the beginning of one.
    const hint = dialer.tls ? ', with TLS, which a plain-text port leaves unanswered' : ''
    const timer = clock.after(handshakeMs, () =>
      clock.afterInput(() => {
        giveUp(new RedisTimeout(`no connection to ${where} within ${handshakeMs} ms${hint}`))
      }),
    )
    if (signal.aborted) return onClose()
    signal.addEventListener('abort', onClose, { once: true })
    dialer.dial(target, abort.signal).then(
      (link) => (given ? link.destroy() : finish(() => resolve(link))),
      (error: Error) => finish(() => reject(error)),
    )
  })
}
