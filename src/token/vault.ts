import { createHmac, hkdfSync } from 'node:crypto'
import { boundName, encodePart } from '../base/key.ts'
import type { Random } from '../base/random.ts'
import { type EncryptionSetup, KeyRing } from '../cache/encrypt.ts'
import { readJson } from '../cache/json.ts'

/** A token as the endpoint gave it. */
export interface Token {
  readonly value: string
  /** For the header: `Bearer`. */
  readonly type: string
  readonly scope: string | undefined
  /** How long before its end it stops being used. */
  readonly marginMs: number
}

/**
 * Names and seals what is kept for one set of credentials. A key holds the client id and an HMAC of
 * everything that tells two tokens apart; the secret is its key, never its content. What is stored
 * is AES-256-GCM ciphertext, bound to its key name.
 */
export class TokenVault {
  readonly #ring: KeyRing
  readonly #nameKey: Buffer
  readonly #prefix: string
  readonly #space: string
  readonly #clientId: string

  constructor(
    namespace: string,
    clientId: string,
    clientSecret: string | undefined,
    encryption: EncryptionSetup | undefined,
    random: Random,
  ) {
    const space = encodePart(namespace, 'namespace')
    this.#prefix = `hf:${space}:token:{`
    this.#space = `token ${space}`
    this.#clientId = clientId
    const material = clientSecret ?? clientId
    this.#nameKey = derive(material, 'holdfast token name')
    this.#ring = new KeyRing(
      encryption ?? { keys: { secret: derive(material, 'holdfast token encryption') } },
      random,
    )
  }

  /** The key for what `parts` describe. */
  key(parts: readonly unknown[]): string {
    const digest = createHmac('sha256', this.#nameKey).update(JSON.stringify(parts)).digest('base64url')
    return `${this.#prefix}${boundName('', `${encodePart(this.#clientId, 'client id')}~${digest}`)}}`
  }

  /** Names a token without telling it: for comparing, for logs and for people. */
  fingerprint(token: string): string {
    return createHmac('sha256', this.#nameKey).update(`token\n${token}`).digest('base64url').slice(0, 16)
  }

  seal(value: unknown, key: string, what: 'token' | 'grant'): string {
    return this.#ring.seal(Buffer.from(JSON.stringify(value)), this.#space, key, what).toString('base64url')
  }

  /** `undefined` when it was changed, moved, or sealed with a key that is not listed. */
  openToken(sealed: string, key: string): Token | undefined {
    const value = this.#open(sealed, key, 'token')
    if (typeof value !== 'object' || value === null || !('value' in value) || !('type' in value))
      return undefined
    if (typeof value.value !== 'string' || typeof value.type !== 'string') return undefined
    const scope = 'scope' in value && typeof value.scope === 'string' ? value.scope : undefined
    const margin = 'marginMs' in value && typeof value.marginMs === 'number' ? value.marginMs : 0
    return { value: value.value, type: value.type, scope, marginMs: margin }
  }

  openGrant(sealed: string, key: string): string | undefined {
    const value = this.#open(sealed, key, 'grant')
    return typeof value === 'string' ? value : undefined
  }

  #open(sealed: string, key: string, what: 'token' | 'grant'): unknown {
    try {
      return readJson(
        this.#ring.unseal(Buffer.from(sealed, 'base64url'), this.#space, key, what).toString(),
        false,
      )
    } catch {
      return undefined
    }
  }
}

const derive = (material: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', material, '', purpose, 32))
