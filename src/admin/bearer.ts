import { createHash, timingSafeEqual } from 'node:crypto'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { checkEdition, type Edition } from './permissions.ts'
import type { Principal } from './principal.ts'

/** One long-lived token. */
export interface TokenGrant {
  /** The token itself, at least 32 characters; it is hashed at once and not kept. */
  readonly token?: string | undefined
  /** Or its SHA-256 in hex, so that the configuration holds no secret. */
  readonly sha256?: string | undefined
  readonly edition: Edition
  /** For the audit log. */
  readonly name: string
  /** Tenant: the only cache namespace that this token sees. @default all */
  readonly namespace?: string | undefined
}

const SHORTEST = 32

/** Compares digests in constant time, and with every grant, so that time tells nothing. */
export class BearerTokens {
  readonly #grants: readonly { readonly digest: Buffer; readonly principal: Principal }[]

  /** @throws InvalidOption for a short token, a malformed digest, an unknown edition or a name twice */
  constructor(grants: readonly TokenGrant[]) {
    const names = new Set<string>()
    this.#grants = grants.map((grant, index) => {
      const where = `tokens[${index}]`
      refuseUnknown(grant, ['token', 'sha256', 'edition', 'name', 'namespace'], where)
      if (typeof grant.name !== 'string' || grant.name === '' || names.has(grant.name)) {
        throw new InvalidOption(`${where} has no name of its own`, 'name each token: the audit log shows it')
      }
      names.add(grant.name)
      const { name, namespace } = grant
      const edition = checkEdition(grant.edition, where)
      return { digest: digestOf(grant, where), principal: { name, edition, namespace } }
    })
  }

  /** Whether a token has this name. */
  has(name: string): boolean {
    return this.#grants.some(({ principal }) => principal.name === name)
  }

  find(token: string): Principal | undefined {
    const digest = hash(token)
    let found: Principal | undefined
    for (const grant of this.#grants) if (timingSafeEqual(grant.digest, digest)) found = grant.principal
    return found
  }
}

function digestOf({ token, sha256 }: TokenGrant, where: string): Buffer {
  if (sha256 !== undefined && token === undefined) {
    if (/^[0-9a-f]{64}$/i.test(sha256)) return Buffer.from(sha256, 'hex')
    throw new InvalidOption(`${where}.sha256 is no SHA-256 in hex`, 'take: printf %s "$TOKEN" | sha256sum')
  }
  if (typeof token !== 'string' || sha256 !== undefined) {
    throw new InvalidOption(`${where} needs either token or sha256`, 'give one of them')
  }
  if (token.length < SHORTEST) {
    throw new InvalidOption(
      `${where}.token is shorter than ${SHORTEST} characters`,
      'take: openssl rand -base64 32',
    )
  }
  return hash(token)
}

const hash = (token: string): Buffer => createHash('sha256').update(token).digest()
