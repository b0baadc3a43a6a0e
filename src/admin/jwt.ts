import { ConfigError, InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { isEdition } from './permissions.ts'
import type { Principal } from './principal.ts'

/** JSON Web Tokens of your identity provider (RFC 7519). Needs the package `jose`. */
export interface JwtOptions {
  /** HS256: the shared secret, at least 32 bytes. */
  readonly secret?: string | undefined
  /** RS256: the public key, PEM. */
  readonly publicKey?: string | undefined
  /** RS256: where the provider publishes its keys. Fetched at start and when it rotates. */
  readonly jwksUrl?: string | undefined
  /** The `iss` that is demanded. */
  readonly issuer: string
  /** The `aud` that is demanded. */
  readonly audience: string
  /** Claim that names the edition. @default 'edition' */
  readonly editionClaim?: string | undefined
  /** Claim that names the one namespace of a tenant. A token without it sees all. @default 'tenant' */
  readonly tenantClaim?: string | undefined
}

type Verify = (token: string) => Promise<Readonly<Record<string, unknown>>>

const KNOWN = ['secret', 'publicKey', 'jwksUrl', 'issuer', 'audience', 'editionClaim', 'tenantClaim']

/** The algorithm follows from the kind of key that was configured, never from the token's own header. */
export class JwtVerifier {
  readonly #options: JwtOptions
  #verify: Promise<Verify> | undefined

  /** @throws InvalidOption */
  constructor(options: JwtOptions) {
    refuseUnknown(options, KNOWN, 'jwt')
    const keys = [options.secret, options.publicKey, options.jwksUrl].filter((key) => key !== undefined)
    if (keys.length !== 1) {
      throw new InvalidOption('jwt needs exactly one key', 'give secret, publicKey or jwksUrl')
    }
    if (options.secret !== undefined && Buffer.byteLength(options.secret) < 32) {
      throw new InvalidOption('jwt.secret is shorter than 32 bytes', 'take: openssl rand -base64 32')
    }
    if (!options.issuer || !options.audience) {
      throw new InvalidOption(
        'jwt names no issuer or no audience',
        'a token for another service must not open this one: give both',
      )
    }
    this.#options = options
  }

  /** Undefined for a token that is expired, forged, for somebody else, or names no edition. */
  async find(token: string): Promise<Principal | undefined> {
    this.#verify ??= loadVerifier(this.#options)
    const verify = await this.#verify
    let claims: Readonly<Record<string, unknown>>
    try {
      claims = await verify(token)
    } catch {
      return undefined
    }
    const { editionClaim = 'edition', tenantClaim = 'tenant' } = this.#options
    const edition = claims[editionClaim]
    const tenant = claims[tenantClaim]
    if (!isEdition(edition)) return undefined
    if (tenant !== undefined && (typeof tenant !== 'string' || tenant === '')) return undefined
    return { name: typeof claims.sub === 'string' ? claims.sub : 'jwt', edition, namespace: tenant }
  }
}

async function loadVerifier(options: JwtOptions): Promise<Verify> {
  const jose = await import('jose').catch(() => {
    throw new ConfigError('jwt needs the package jose', 'run: npm i jose')
  })
  const { issuer, audience, secret, publicKey, jwksUrl } = options
  const checks = { issuer, audience, requiredClaims: ['exp'], clockTolerance: 5 }
  if (secret !== undefined) {
    const key = new TextEncoder().encode(secret)
    return async (token) => (await jose.jwtVerify(token, key, { ...checks, algorithms: ['HS256'] })).payload
  }
  const rs = { ...checks, algorithms: ['RS256'] }
  if (publicKey !== undefined) {
    const key = await jose.importSPKI(publicKey, 'RS256')
    return async (token) => (await jose.jwtVerify(token, key, rs)).payload
  }
  const keys = jose.createRemoteJWKSet(new URL(jwksUrl!), { timeoutDuration: 3_000 })
  return async (token) => (await jose.jwtVerify(token, keys, rs)).payload
}
