import { deserialize, serialize } from 'node:v8'
import { ConfigError, InvalidValue } from '../base/errors.ts'
import { COMPRESS_FROM_BYTES, compress, decompress } from './compress.ts'
import type { KeyRing } from './encrypt.ts'
import { clean, readJson, writeJson } from './json.ts'
import type { Settings } from './settings.ts'
import { type Body, FLAG_NO_L1 } from './store.ts'

/*
 * Codec letters, in `Draft.flags`. Plain JSON has none, so redis-cli shows it readable.
 *   u  the value is undefined, the body is empty        i  JSON with tagged BigInts
 *   v  v8.serialize        m  msgpack                   b  brotli        e  AES-256-GCM
 *   x  a codec of the caller's own                      n  not to be kept in an L1
 */
const FLAG_UNDEFINED = 'u'
const FLAG_BIGINT = 'i'
const FLAG_V8 = 'v'
const FLAG_MSGPACK = 'm'
const FLAG_OWN = 'x'
const FLAG_BROTLI = 'b'
const FLAG_SEALED = 'e'
const KNOWN_FLAGS = /^[uivmxben]*$/

export interface Encoded {
  readonly body: Body
  readonly flags: string
}

/** A value that was encoded well but is larger than `maxValueBytes`. */
export class TooLarge extends InvalidValue {
  constructor(bytes: number, limit: number) {
    super(`the encoded value has ${bytes} bytes, the limit is ${limit}`, 'store less, or raise maxValueBytes')
  }
}

interface Msgpack {
  pack(value: unknown): Buffer
  unpack(bytes: Buffer): unknown
}
let msgpack: Msgpack | undefined

/** Turns values into bodies and back. One per instance: it knows the keys and the namespace. */
export class Codec {
  readonly #ring: KeyRing | undefined
  readonly #namespace: string

  constructor(ring: KeyRing | undefined, namespace: string) {
    this.#ring = ring
    this.#namespace = namespace
  }

  /** Loads what encoding with `settings`, or decoding `flags`, needs; undefined when nothing is. */
  prepare(codec: Settings['codec'], flags: string): Promise<void> | undefined {
    if (msgpack !== undefined || (codec !== 'msgpack' && !flags.includes(FLAG_MSGPACK))) return undefined
    return loadMsgpack()
  }

  /** @throws InvalidValue when the value cannot be stored as it is, ConfigError without keys */
  encode(name: string, value: unknown, settings: Settings): Encoded {
    let flags = settings.l1 ? '' : FLAG_NO_L1
    let body: Body
    if (value === undefined) {
      flags += FLAG_UNDEFINED
      body = ''
    } else if (settings.codec === 'json') {
      const { text, hasBigint } = writeJson(value, settings.bigint)
      if (hasBigint) flags += FLAG_BIGINT
      body = text
    } else if (typeof settings.codec === 'object') {
      flags += FLAG_OWN
      body = settings.codec.encode(value)
    } else {
      flags += settings.codec === 'v8' ? FLAG_V8 : FLAG_MSGPACK
      body = packBinary(value, settings.codec)
    }
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    if (bytes > settings.maxValueBytes) throw new TooLarge(bytes, settings.maxValueBytes)
    // Length of a compressed secret tells about its content (CRIME), so a sensitive value is
    // compressed only when asked for.
    const from = settings.compress ?? (settings.sensitive ? false : COMPRESS_FROM_BYTES)
    if (from !== false && bytes >= from && bytes > 0) {
      const packed = compress(toBuffer(body))
      if (packed !== undefined) {
        flags += FLAG_BROTLI
        body = packed
      }
    }
    if (settings.sensitive) {
      flags += FLAG_SEALED
      body = this.#keys().seal(toBuffer(body), this.#namespace, name, flags)
    }
    return { body, flags }
  }

  /** @throws whatever is wrong with the body: the caller makes one miss of it */
  decode(
    name: string,
    body: Body,
    flags: string,
    maxBytes: number,
    own?: Settings['codec'],
    storedAt?: number,
  ): unknown {
    if (flags === '' && typeof body === 'string') {
      if (body.length > maxBytes) throw new Error('larger than allowed')
      return readJson(body, false)
    }
    if (!KNOWN_FLAGS.test(flags)) throw new Error('written by a newer release')
    if (flags.includes(FLAG_UNDEFINED) && !flags.includes(FLAG_SEALED)) return undefined
    let raw = body
    if (flags.includes(FLAG_SEALED)) raw = this.#keys().unseal(toBuffer(raw), this.#namespace, name, flags)
    if (flags.includes(FLAG_UNDEFINED)) return undefined
    if (flags.includes(FLAG_BROTLI)) raw = decompress(toBuffer(raw), maxBytes)
    if (raw.length > maxBytes) throw new Error('larger than allowed')
    if (flags.includes(FLAG_OWN)) return decodeOwn(toBuffer(raw), own, storedAt)
    if (flags.includes(FLAG_V8)) return cleaned(deserialize(toBuffer(raw)))
    if (flags.includes(FLAG_MSGPACK)) return cleaned(msgpack?.unpack(toBuffer(raw)))
    return readJson(raw.toString(), flags.includes(FLAG_BIGINT))
  }

  #keys(): KeyRing {
    if (this.#ring === undefined) {
      throw new ConfigError(
        'a sensitive entry needs encryption keys',
        'give encryption: { keys } to the instance',
      )
    }
    return this.#ring
  }
}

/** Values of one codec that come from outside may hold what JSON text could: same cleaning. */
function cleaned(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) {
    const proto: unknown = Object.getPrototypeOf(value)
    if (Array.isArray(value) || proto === Object.prototype || proto === null) clean(value, 1)
  }
  return value
}

function decodeOwn(raw: Buffer, codec: Settings['codec'] | undefined, storedAt: number | undefined): unknown {
  if (typeof codec !== 'object') throw new Error('written by a codec that this call does not have')
  return codec.decode(raw, storedAt)
}

function packBinary(value: unknown, codec: 'v8' | 'msgpack'): Buffer {
  try {
    return codec === 'v8' ? serialize(value) : Buffer.from(msgpack!.pack(value))
  } catch (cause) {
    throw new InvalidValue(`the value cannot be written by ${codec}`, 'store plain data', { cause })
  }
}

async function loadMsgpack(): Promise<void> {
  try {
    const { Packr } = await import('msgpackr')
    const packr = new Packr({ useRecords: false, moreTypes: true })
    msgpack = { pack: (value) => packr.pack(value), unpack: (bytes) => packr.unpack(bytes) as unknown }
  } catch (cause) {
    throw new ConfigError(`codec 'msgpack' needs the package msgpackr`, 'npm install msgpackr', { cause })
  }
}

const toBuffer = (body: Body): Buffer => (typeof body === 'string' ? Buffer.from(body) : body)
