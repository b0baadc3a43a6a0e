import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { ConfigError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'

/** The keys that encrypt at rest, and which of them encrypts what is written now. */
export interface EncryptionSetup {
  /** Key by id: 32 bytes, as a Buffer or as base64. Old keys stay listed as long as old entries live. */
  readonly keys: Readonly<Record<string, string | Uint8Array>>
  /** Id of the key that encrypts. @default the last one listed */
  readonly current?: string | undefined
}

const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32

/**
 * AES-256-GCM (NIST SP 800-38D) with a subkey per namespace and key id (HKDF-SHA-256, RFC 5869).
 * The name of the entry and its flags are authenticated, so a body cannot be moved to another key.
 * Sealed form: length of the key id, key id, nonce, tag, ciphertext. A random 96-bit nonce asks for
 * a new key before 2^32 writes.
 */
export class KeyRing {
  readonly #master = new Map<string, Buffer>()
  readonly #derived = new Map<string, KeyObject>()
  readonly #current: string
  readonly #random: Random

  constructor(setup: EncryptionSetup, random: Random) {
    for (const [id, given] of Object.entries(setup.keys)) {
      const key = typeof given === 'string' ? Buffer.from(given, 'base64') : Buffer.from(given)
      if (key.length !== KEY_BYTES || Buffer.byteLength(id) > 255 || id === '') {
        throw new ConfigError(
          'an encryption key is not 32 bytes long, or its id is empty or too long',
          'make one with: openssl rand -base64 32',
        )
      }
      this.#master.set(id, key)
    }
    this.#current = setup.current ?? [...this.#master.keys()].at(-1) ?? ''
    if (!this.#master.has(this.#current)) {
      throw new ConfigError(
        'encryption.current names no key of encryption.keys',
        'list that key, or name another',
      )
    }
    this.#random = random
  }

  seal(plain: Buffer, namespace: string, name: string, flags: string): Buffer {
    const id = Buffer.from(this.#current)
    const nonce = Buffer.from(this.#random.id(), 'base64url').subarray(0, NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#subkey(namespace, this.#current)!, nonce)
    cipher.setAAD(associated(namespace, name, flags))
    const head = Buffer.concat([Buffer.from([id.length]), id, nonce])
    const body = Buffer.concat([cipher.update(plain), cipher.final()])
    return Buffer.concat([head, cipher.getAuthTag(), body])
  }

  /** @throws when the key is unknown, or anything was changed */
  unseal(sealed: Buffer, namespace: string, name: string, flags: string): Buffer {
    const idEnd = 1 + (sealed[0] ?? 0)
    const nonceEnd = idEnd + NONCE_BYTES
    const tagEnd = nonceEnd + TAG_BYTES
    if (sealed.length < tagEnd) throw new Error('sealed body is too short')
    const key = this.#subkey(namespace, sealed.toString('utf8', 1, idEnd))
    if (key === undefined) throw new Error('sealed with an unknown key')
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(idEnd, nonceEnd), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(associated(namespace, name, flags))
    decipher.setAuthTag(sealed.subarray(nonceEnd, tagEnd))
    return Buffer.concat([decipher.update(sealed.subarray(tagEnd)), decipher.final()])
  }

  #subkey(namespace: string, id: string): KeyObject | undefined {
    const master = this.#master.get(id)
    if (master === undefined) return undefined
    const label = JSON.stringify(['holdfast cache', namespace, id])
    let key = this.#derived.get(label)
    if (key === undefined) {
      key = createSecretKey(Buffer.from(hkdfSync('sha256', master, '', label, KEY_BYTES)))
      this.#derived.set(label, key)
    }
    return key
  }
}

const associated = (namespace: string, name: string, flags: string): Buffer =>
  Buffer.from(JSON.stringify(['hf1', namespace, name, flags]))
