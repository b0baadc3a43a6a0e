import type { Clock } from '../base/clock.ts'
import { MAX_DURATION_MS } from '../base/duration.ts'
import { knownOAuthError, TokenEndpointError } from './errors.ts'
import type { TokenSettings } from './options.ts'

/** What the endpoint granted. */
export interface Granted {
  readonly value: string
  readonly type: string
  readonly scope: string | undefined
  /** Life in ms counted from when the request was sent; undefined where the answer names none. */
  readonly lifeMs: number | undefined
  readonly refreshToken: string | undefined
  readonly refreshLifeMs: number | undefined
  /** When the request was sent, on the monotonic clock. */
  readonly sentAt: number
}

const MAX_ANSWER_BYTES = 65_536
const MAX_RETRY_AFTER_MS = 3_600_000
/** What stands for a number in a text; not what `Number` makes of '0x10' or ' '. */
const DECIMAL = /^\s*\d+(?:\.\d*)?\s*$/
/** What may stand in a header: visible ASCII (RFC 6750 allows less). */
const TOKEN = /^[\x21-\x7e]{1,16384}$/

/**
 * One call of a token endpoint (RFC 6749 sections 4.1.3, 4.4 and 6), bounded in time and size.
 * Follows no redirect: credentials go to the configured address only.
 */
export async function askEndpoint(
  settings: TokenSettings,
  clock: Clock,
  form: Readonly<Record<string, string>>,
  secret: string | undefined,
): Promise<Granted> {
  const { url, clientId } = settings
  const body = new URLSearchParams({ ...settings.params, ...form })
  const headers = new Headers(settings.headers)
  headers.set('accept', 'application/json')
  headers.set('content-type', 'application/x-www-form-urlencoded')
  if (settings.auth === 'basic') headers.set('authorization', basic(clientId, secret ?? ''))
  else {
    body.set('client_id', clientId)
    if (secret !== undefined) body.set('client_secret', secret)
  }
  const sentAt = clock.mono()
  const abort = new AbortController()
  const timer = clock.after(settings.deadlineMs, () => abort.abort())
  try {
    const response = await settings.fetch(url, {
      method: 'POST',
      headers,
      body: body.toString(),
      redirect: 'manual',
      signal: abort.signal,
    })
    const answer = await readAnswer(response, url.host)
    return grantedOf(response, answer, settings, clock, sentAt)
  } catch (error) {
    if (error instanceof TokenEndpointError) throw error
    // The cause is left out: what a fetch throws may quote what was sent.
    throw new TokenEndpointError(abort.signal.aborted ? 'timeout' : 'network', url.host)
  } finally {
    timer.cancel()
  }
}

function grantedOf(
  response: Response,
  answer: Record<string, unknown> | undefined,
  settings: TokenSettings,
  clock: Clock,
  sentAt: number,
): Granted {
  const { host } = settings.url
  const { status } = response
  const error = knownOAuthError(answer?.error)
  if (status >= 300 && status < 400) throw new TokenEndpointError('redirect', host, { status })
  if (!response.ok || (answer && 'error' in answer && !('access_token' in answer))) {
    const retryAfter = retryAfterMs(response.headers.get('retry-after'), clock)
    const busy = status === 429 || status === 503
    const reason = busy ? 'busy' : status >= 500 ? 'server' : 'refused'
    throw new TokenEndpointError(reason, host, { status, error, retryAfter })
  }
  if (!answer) throw new TokenEndpointError('not-json', host, { status })
  const { access_token: value, refresh_token: refresh, token_type: type, scope } = answer
  const lifeMs = secondsOf(answer.expires_in)
  if (typeof value !== 'string' || !TOKEN.test(value) || lifeMs === null) {
    throw new TokenEndpointError('no-token', host, { status })
  }
  return {
    value,
    type: schemeOf(type),
    scope: typeof scope === 'string' ? scope.slice(0, 4_096) : undefined,
    lifeMs,
    refreshToken: typeof refresh === 'string' && refresh !== '' ? refresh : undefined,
    refreshLifeMs: secondsOf(answer.refresh_token_expires_in ?? answer.refresh_expires_in) ?? undefined,
    sentAt,
  }
}

/** Milliseconds of a number or numeric text of seconds; undefined where absent; null where unusable. */
function secondsOf(given: unknown): number | undefined | null {
  if (given === undefined || given === null || given === '') return undefined
  const decimal = typeof given === 'string' && DECIMAL.test(given)
  const seconds = typeof given === 'number' ? given : decimal ? Number(given) : Number.NaN
  if (!Number.isFinite(seconds) || seconds <= 0) return null
  return Math.min(seconds * 1_000, MAX_DURATION_MS)
}

/** `bearer` in any spelling is sent as `Bearer`; some servers insist. */
function schemeOf(type: unknown): string {
  if (typeof type !== 'string' || !/^[A-Za-z][\w-]{0,31}$/.test(type)) return 'Bearer'
  return type.toLowerCase() === 'bearer' ? 'Bearer' : type
}

/** Seconds, or a date against our own clock: a wrong date waits an hour at most. */
function retryAfterMs(header: string | null, clock: Clock): number | undefined {
  if (header === null) return undefined
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - clock.wall()
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined
}

/** The answer as a JSON object; undefined when it is none. */
async function readAnswer(response: Response, host: string): Promise<Record<string, unknown> | undefined> {
  const reader = response.body?.getReader()
  if (!reader) return undefined
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.byteLength
    if (size > MAX_ANSWER_BYTES) {
      await reader.cancel().catch(() => {})
      throw new TokenEndpointError('too-large', host, { status: response.status })
    }
    chunks.push(value)
  }
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : undefined
  } catch {
    return undefined
  }
}

/** RFC 6749 section 2.3.1: both parts form-encoded first. */
function basic(id: string, secret: string): string {
  const encode = (text: string) => new URLSearchParams({ v: text }).toString().slice(2)
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}
