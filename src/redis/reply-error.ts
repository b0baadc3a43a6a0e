import { RedisReplyError } from '../base/errors.ts'

/**
 * The server's answer without what we sent: `ERR unknown command 'X', with args beginning with: …`
 * would put keys and values into logs. The original is not kept as `cause` for the same reason.
 */
export function replyError(message: string): RedisReplyError {
  const safe = message.replace(/,? ?with args beginning with:[\s\S]*$/i, '').replace(/[\r\n]+/g, ' ')
  return new RedisReplyError(safe.length > 200 ? `${safe.slice(0, 200)}…` : safe)
}

/** Servers before 7 wrap an error met inside a script: `ERR Error running script …: -READONLY …`. */
const WRAPPED = /-(READONLY|MASTERDOWN|LOADING|CLUSTERDOWN|MOVED)\b/

/** The word that decides what to do: READONLY, LOADING, MOVED, NOSCRIPT … */
export function meaningOf(error: RedisReplyError): string {
  return error.prefix === 'ERR' ? (WRAPPED.exec(error.message)?.[1] ?? 'ERR') : error.prefix
}
