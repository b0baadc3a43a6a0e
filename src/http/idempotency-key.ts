const MAX_LENGTH = 255
/** RFC 9651 string: printable ASCII in double quotes, `"` and `\` escaped, maybe followed by parameters. */
const QUOTED =
  /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"(?:; *[a-z*][\w.*-]*(?:=[^\s,;"]+|="[^"\\]*")?)*$/
/** What most clients send instead: the bare text. No quote, comma or semicolon, so that no list passes for a key. */
const BARE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+$/

/**
 * The text of an `Idempotency-Key` field (draft-ietf-httpapi-idempotency-key-header: a Structured
 * Field string; the bare form is taken too, and means the same key). Undefined when it is none: empty,
 * over 255 characters, sent twice, or malformed.
 */
export function parseIdempotencyKey(field: string): string | undefined {
  const text = field.trim()
  if (text.length > MAX_LENGTH + 2) return undefined
  const quoted = QUOTED.exec(text)?.[1]
  const key = quoted === undefined ? BARE.exec(text)?.[0] : quoted.replace(/\\(.)/g, '$1')
  return key === undefined || key === '' || key.length > MAX_LENGTH ? undefined : key
}
