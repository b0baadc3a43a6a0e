import { createHash } from 'node:crypto'
import { InvalidKey } from './errors.ts'

/** Longest name in UTF-8 bytes that is used as it is; a longer key is replaced by its SHA-256. */
export const MAX_NAME_BYTES = 512

/** Stands between namespace and key, and between namespaces; always encoded inside a part. */
export const NAMESPACE_SEPARATOR = '|'

// Printable ASCII without % * ? [ \ ] { | }: what goes into a Redis key unchanged.
const PLAIN = /^[\x20-\x24\x26-\x29\x2b-\x3e\x40-\x5a\x5e-\x7a~]+$/
const ENCODED = /[%*?[\\\]{|}]/g
const ENCODED_IN_PART = /[%*?[\\\]{|}:/~]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\x00-\x1f\x7f-\x9f]/
const LONE_SURROGATE = /\p{Surrogate}/u
const MAX_PLAIN_LENGTH = 384

/** True for nearly every key in practice; such a key is its own encoded form. */
export function isPlainName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= MAX_PLAIN_LENGTH && PLAIN.test(name)
}

/**
 * The form of a key or tag inside Redis: glob characters, braces and the namespace separator are
 * percent-encoded, so that a name can be no pattern, no hash tag and no other namespace's name.
 * `:` and `/` stay readable.
 * @param what 'key' or 'tag', for the error
 * @throws InvalidKey when it is not a string, is empty, is ill-formed Unicode or has control characters
 */
export function encodeName(name: unknown, what: string): string {
  if (isPlainName(name)) return name
  return checkName(name, what).replace(ENCODED, percent)
}

/** Like `encodeName`, and `:`, `/` and `~` are encoded too: for parts that are joined by one of them. */
export function encodePart(part: unknown, what: string): string {
  return checkName(part, what).replace(ENCODED_IN_PART, percent)
}

/** The name as the user wrote it, from its encoded form. */
export function decodeName(encoded: string): string {
  return encoded.includes('%')
    ? encoded.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : encoded
}

/**
 * `prefix + encoded`, or `prefix + '%h:' + sha-256` where that would be over 512 bytes. No encoded
 * name contains `%h`, so a hash cannot be forged by a key.
 */
export function boundName(prefix: string, encoded: string): string {
  const full = prefix + encoded
  if (full.length * 3 <= MAX_NAME_BYTES || Buffer.byteLength(full) <= MAX_NAME_BYTES) return full
  return `${prefix}%h:${createHash('sha256').update(encoded).digest('hex')}`
}

/**
 * A user's glob in the encoded name space. `*`, `?` and `[a-z]` are wildcards; a backslash takes
 * the next character literally.
 */
export function encodeGlob(glob: unknown): string {
  const given = checkName(glob, 'pattern')
  let out = ''
  for (let i = 0; i < given.length; i++) {
    const char = given[i]!
    if (char === '\\' && i + 1 < given.length) out += given[++i]!.replace(ENCODED, percent)
    else out += '*?[]'.includes(char) ? char : char.replace(ENCODED, percent)
  }
  return out
}

/** Escapes an id for use inside a glob, so that it matches only itself. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&')
}

/** A key as it may appear in a log line: the part before the first `:` and a short hash. */
export function redactName(name: string): string {
  const head = /^[A-Za-z][\w.-]{0,31}(?=:)/.exec(name)?.[0]
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8)
  return head === undefined ? `#${hash}` : `${head}:#${hash}`
}

function checkName(name: unknown, what: string): string {
  if (typeof name !== 'string') throw new InvalidKey(`a ${what} is ${typeName(name)}`, 'give a string')
  if (name === '') throw new InvalidKey(`a ${what} is empty`, 'give at least one character')
  if (CONTROL.test(name))
    throw new InvalidKey(`a ${what} contains a control character`, 'remove it, or encode the name')
  if (LONE_SURROGATE.test(name)) {
    throw new InvalidKey(`a ${what} contains half a surrogate pair`, 'give well-formed Unicode')
  }
  return name
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return typeof value === 'object' ? 'an object' : `of type ${typeof value}`
}

const percent = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
