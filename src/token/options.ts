import type { Clock } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { ConfigError, InvalidOption } from '../base/errors.ts'
import { encodeName } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Random } from '../base/random.ts'
import type { EncryptionSetup } from '../cache/encrypt.ts'
import type { RedisPort } from '../redis/port.ts'
import type { TokenStore } from './store.ts'

/** What is used of `fetch`. */
export type FetchFunction = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Options of `hf.tokens(options)`. */
export interface TokenOptions {
  /** Where tokens are issued: https, or http on loopback. */
  tokenUrl: string
  /** Name of the client. */
  clientId: string
  /** Absent for a public client; then `encryption` is required. */
  clientSecret?: string | undefined
  /** `refresh_token`: per subject, after `exchange` or `adopt`. @default 'client_credentials' */
  grant?: 'client_credentials' | 'refresh_token' | undefined
  /** Sent with every token request: scope, `scopes`, audience, resource … */
  params?: Readonly<Record<string, string>> | undefined
  /** How the client proves itself: in the form, or by HTTP Basic. @default 'body' */
  auth?: 'body' | 'basic' | undefined
  /** More headers for the token request. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Keys of the stored tokens. @default derived from the client secret */
  encryption?: EncryptionSetup | undefined
  /** Client secrets that were in use before: their stored refresh tokens are taken over. */
  previousSecrets?: readonly string[] | undefined
  /** A token is not used in the last part of its life. @default 5 % of it, at least 60 s, at most half */
  margin?: Duration | undefined
  /** Life of a token whose answer names none. @default '1h' */
  defaultLife?: Duration | undefined
  /** How long an unused refresh token is kept, where the answer names no life. @default '180d' */
  retain?: Duration | undefined
  /** How long a token is used from process memory before the store is looked at again. @default '5s' */
  local?: Duration | undefined
  /** A 401 drops the token at most this often, so that a missing right does not flood the endpoint. @default '5s' */
  dropEvery?: Duration | undefined
  /** For one call of the endpoint. @default '10s' */
  deadline?: Duration | undefined
  /** For one call of Redis. @default '500ms' */
  storeDeadline?: Duration | undefined
  /** `tokens.fetch` refuses to send the token anywhere else, e.g. `['https://public.kiotapi.com']`. */
  origins?: readonly string[] | undefined
  /** Instead of the global `fetch`. */
  fetch?: FetchFunction | undefined
}

/** What `createTokens` is made of. */
export interface TokensOptions extends TokenOptions {
  /** Shared between processes by this Redis; without it, in process memory. */
  redis?: RedisPort | undefined
  /** @default 'default' */
  namespace?: string | undefined
  /** Where tokens are kept, instead of `redis`. */
  store?: TokenStore | undefined
  clock?: Clock | undefined
  random?: Random | undefined
}

/** The options with every default in place, in milliseconds. */
export interface TokenSettings {
  readonly url: URL
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly grant: 'client_credentials' | 'refresh_token'
  readonly params: Readonly<Record<string, string>>
  readonly auth: 'body' | 'basic'
  readonly headers: Readonly<Record<string, string>>
  readonly marginMs: number | undefined
  readonly defaultLifeMs: number
  readonly retainMs: number
  readonly localMs: number
  readonly dropEveryMs: number
  readonly deadlineMs: number
  readonly origins: ReadonlySet<string> | undefined
  readonly fetch: FetchFunction
}

const KNOWN: readonly (keyof TokensOptions)[] = [
  'redis',
  'namespace',
  'store',
  'clock',
  'random',
  'tokenUrl',
  'clientId',
  'clientSecret',
  'grant',
  'params',
  'auth',
  'headers',
  'encryption',
  'previousSecrets',
  'margin',
  'defaultLife',
  'retain',
  'local',
  'dropEvery',
  'deadline',
  'storeDeadline',
  'origins',
  'fetch',
]
const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/
/** Set by the grant itself. */
const OWN_PARAMS = new Set(['grant_type', 'client_id', 'client_secret', 'refresh_token'])

/** @throws InvalidOption, InvalidKey, ConfigError */
export function settle(options: TokensOptions): TokenSettings {
  refuseUnknown(options, KNOWN, 'tokens')
  const { clientId, clientSecret, grant = 'client_credentials', auth = 'body', params = {} } = options
  encodeName(clientId, 'client id')
  if (clientSecret !== undefined && (typeof clientSecret !== 'string' || clientSecret === '')) {
    throw new ConfigError('clientSecret is empty or no string', 'set it, or leave it out for a public client')
  }
  if (clientSecret === undefined && !options.encryption) {
    throw new ConfigError(
      'a client without a secret has no key to encrypt its tokens with',
      'give encryption: { keys: { k1: … } }',
    )
  }
  if (grant !== 'client_credentials' && grant !== 'refresh_token') {
    throw new InvalidOption('grant is unknown', "give 'client_credentials' or 'refresh_token'")
  }
  if (auth !== 'body' && auth !== 'basic')
    throw new InvalidOption('auth is unknown', "give 'body' or 'basic'")
  for (const name of Object.keys(params)) {
    if (OWN_PARAMS.has(name)) throw new InvalidOption(`params has ${name}`, 'leave it out: the grant sets it')
  }
  return {
    url: secureUrl(options.tokenUrl),
    clientId,
    clientSecret,
    grant,
    params,
    auth,
    headers: options.headers ?? {},
    marginMs: options.margin === undefined ? undefined : toMs(options.margin, 'margin'),
    defaultLifeMs: toMs(options.defaultLife ?? '1h', 'defaultLife'),
    retainMs: toMs(options.retain ?? '180d', 'retain'),
    localMs: toMs(options.local ?? '5s', 'local'),
    dropEveryMs: Math.round(toMs(options.dropEvery ?? '5s', 'dropEvery')),
    deadlineMs: toMs(options.deadline ?? '10s', 'deadline'),
    origins: options.origins && new Set(options.origins.map((origin) => new URL(origin).origin)),
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
  }
}

function secureUrl(given: string): URL {
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigError(
      'tokenUrl is no http(s) address',
      "give e.g. 'https://id.example.com/connect/token'",
    )
  }
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
    throw new ConfigError(
      `tokenUrl at ${url.host} is not encrypted, and the client secret would travel in clear`,
      'use https; http is for loopback only',
    )
  }
  if (url.username || url.password) {
    throw new ConfigError('tokenUrl contains credentials', 'give them as clientId and clientSecret')
  }
  return url
}
