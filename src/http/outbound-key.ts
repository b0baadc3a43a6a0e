import { createHmac, type KeyObject } from 'node:crypto'
import type { ReadRequest } from './outbound-request.ts'

/** What of a request is no part of its key, and who it speaks for. */
export interface KeyRules {
  /** Parameters that do not change the answer. */
  readonly dropParams: ReadonlySet<string>
  /** Only these count, where given. */
  readonly keepParams: ReadonlySet<string> | undefined
  /** Header fields, lower case, that do not change the answer. */
  readonly ignoreHeaders: ReadonlySet<string>
  /** Header fields, lower case, and parameters that hold a credential. */
  readonly credentialHeaders: ReadonlySet<string>
  readonly credentialParams: ReadonlySet<string>
}

/** Say how, or along which way, a request travels; never what is asked for. */
export const NEUTRAL_HEADERS: readonly string[] = [
  'accept-encoding',
  'baggage',
  'cache-control',
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'pragma',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-correlation-id',
  'x-request-id',
]
export const CREDENTIAL_HEADERS: readonly string[] = [
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
  'x-goog-api-key',
]
export const CREDENTIAL_PARAMS: readonly string[] = ['access_token', 'api_key', 'appsecret_proof']

/** Parameters as they stand in the address, sorted by name; those of one name keep their order. */
export function sortedParams(url: URL): (readonly [name: string, raw: string])[] {
  if (url.search.length < 2) return []
  const pairs = url.search
    .slice(1)
    .split('&')
    .map((raw) => [decode(raw.split('=', 1)[0]!), raw] as const)
  return pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

export function carriesCredential(request: ReadRequest, rules: KeyRules): boolean {
  for (const name of rules.credentialHeaders) if (request.fields.has(name)) return true
  return sortedParams(request.url).some(([name]) => rules.credentialParams.has(name))
}

/**
 * Everything that may change the answer, as one keyed digest (HMAC-SHA-256, RFC 2104): method,
 * address with sorted parameters, header fields, body, identity. Without an `identity` the
 * credentials themselves count; with one they do not, so that a new token finds the old answers.
 */
export function digestOf(
  request: ReadRequest,
  rules: KeyRules,
  identity: string | undefined,
  secret: KeyObject | string,
): string {
  const isStated = identity !== undefined
  const params = sortedParams(request.url)
    .filter(
      ([name]) =>
        !rules.dropParams.has(name) &&
        (rules.keepParams?.has(name) ?? true) &&
        !(isStated && rules.credentialParams.has(name)),
    )
    .map(([, raw]) => raw)
  const fields: (readonly [string, string])[] = []
  for (const [name, value] of request.fields) {
    if (rules.ignoreHeaders.has(name) || (isStated && rules.credentialHeaders.has(name))) continue
    fields.push([name, value])
  }
  const { origin, pathname } = request.url
  const head = JSON.stringify([request.method, origin, pathname, params, fields, identity ?? null])
  // The head is JSON, so that the line end after it is the first one.
  return createHmac('sha256', secret).update(`${head}\n`).update(request.bytes).digest('base64url')
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
