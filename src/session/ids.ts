import { createCipheriv, createDecipheriv, hash, hkdfSync } from 'node:crypto'
import { InvalidKey } from '../base/errors.ts'
import { encodeName, encodePart } from '../base/key.ts'
import type { Random } from '../base/random.ts'
import type { Place } from './store.ts'

/**
 * Session ids and where they lead. An id of ours is two characters that choose the slot, then 192
 * random bits. Sessions of one user share the two characters, so that in a cluster a session and
 * the index of its user can be looked at in one step. Ids made by a framework work too: their slot
 * comes from their hash.
 */
const BUCKET_LENGTH = 2
const OWN_LENGTH = BUCKET_LENGTH + 32
const OWN = /^[\w-]+$/
const REF = /^([\w-]{2})\.([\w-]{43})$/
const PLAUSIBLE = /^[\x21-\x7e]{16,256}$/

export class SessionIds {
  readonly #sessions: string
  readonly #indexes: string
  readonly #name: string
  readonly #random: Random

  constructor(namespace: string, name: string, random: Random) {
    const space = encodePart(namespace, 'namespace')
    this.#name = encodePart(name, 'session name')
    this.#sessions = `hf:${space}:session:{${this.#name}~`
    this.#indexes = `hf:${space}:session-user:{${this.#name}~`
    this.#random = random
  }

  /** A new id: beside the user, beside another id, or anywhere. */
  make(beside: { user?: string | undefined; id?: string | undefined } = {}): string {
    const bucket =
      beside.user !== undefined
        ? this.#userHash(beside.user).slice(0, BUCKET_LENGTH)
        : beside.id !== undefined
          ? bucketOf(beside.id)
          : this.#random.id().slice(0, BUCKET_LENGTH)
    return bucket + this.#random.id() + this.#random.id()
  }

  place(id: string): Place {
    const member = sha256(id)
    return { key: `${this.#sessions}${bucketOf(id, member)}}:${member}`, member }
  }

  /** Glob over the keys of all sessions of this kind. */
  get glob(): string {
    return `${this.#sessions}*`
  }

  /** What names a session in a list without being its id: its slot and its hash. */
  refOf(place: Place): string {
    return `${place.key.slice(this.#sessions.length, this.#sessions.length + BUCKET_LENGTH)}.${place.member}`
  }

  /** @throws InvalidKey when it is none of `refOf` */
  placeOf(ref: string): Place {
    const [, bucket, member] = REF.exec(ref) ?? []
    if (bucket === undefined || member === undefined) {
      throw new InvalidKey('a session is not named by this', 'take it from the list of sessions')
    }
    return { key: `${this.#sessions}${bucket}}:${member}`, member }
  }

  /** Key of a user's index. @throws InvalidKey when the user id is no usable name */
  index(user: string): string {
    const hash = this.#userHash(user)
    return `${this.#indexes}${hash.slice(0, BUCKET_LENGTH)}}:${hash}`
  }

  #userHash(user: string): string {
    return sha256(`${this.#name}\n${encodeName(user, 'user id')}`)
  }
}

/** Whether it can be an id at all; what cannot is not asked for. */
export const isPlausibleId = (id: unknown): id is string => typeof id === 'string' && PLAUSIBLE.test(id)

/**
 * The id that replaces another, sealed so that only who holds the old one can read it: the server
 * stores neither. AES-256-GCM under a key derived from the old id.
 */
export function sealSuccessor(next: string, old: string, random: Random): string {
  const nonce = Buffer.from(random.id(), 'base64url')
  const cipher = createCipheriv('aes-256-gcm', successorKey(old), nonce)
  const body = Buffer.concat([cipher.update(next, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')
}

/** `undefined` when it was not sealed with this id. */
export function openSuccessor(sealed: string, old: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  if (bytes.length < 28) return undefined
  try {
    const open = createDecipheriv('aes-256-gcm', successorKey(old), bytes.subarray(0, 12), {
      authTagLength: 16,
    })
    open.setAuthTag(bytes.subarray(12, 28))
    return open.update(bytes.subarray(28), undefined, 'utf8') + open.final('utf8')
  } catch {
    return undefined
  }
}

const successorKey = (old: string): Buffer =>
  Buffer.from(hkdfSync('sha256', old, '', 'holdfast session successor', 32))

const bucketOf = (id: string, hashed = sha256(id)): string =>
  (id.length === OWN_LENGTH && OWN.test(id) ? id : hashed).slice(0, BUCKET_LENGTH)

const sha256 = (text: string): string => hash('sha256', text, 'base64url')
