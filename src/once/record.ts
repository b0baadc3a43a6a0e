import { createHash } from 'node:crypto'
import { InvalidValue } from '../base/errors.ts'
import { readJson, writeJson } from '../cache/json.ts'

/** Longest kept text of an error's message, and of its name. */
const MAX_MESSAGE = 1_000
const MAX_ERROR_NAME = 100

/**
 * A value as a record keeps it: `u` for undefined, `j` + JSON, `b` + JSON with BigInts. The JSON rules
 * are the cache's: what JSON would lose silently is refused.
 * @throws InvalidValue
 */
export function encodeResult(value: unknown, maxBytes: number): string {
  if (value === undefined) return 'u'
  const { text, hasBigint } = writeJson(value, true)
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes) {
    throw new InvalidValue(
      `a result has ${bytes} bytes, more than the ${maxBytes} that are kept`,
      'return a reference to where it is stored, or raise maxResultBytes',
    )
  }
  return (hasBigint ? 'b' : 'j') + text
}

export function decodeResult(text: string): unknown {
  return text === 'u' ? undefined : readJson(text.slice(1), text[0] === 'b')
}

/** What is kept of an error that ended a run for good: its name and a bounded message, never its stack. */
export function encodeFailure(error: unknown): string {
  const name = error instanceof Error ? error.name : typeof error
  const message = error instanceof Error ? error.message : 'not an Error'
  return JSON.stringify([name.slice(0, MAX_ERROR_NAME), message.slice(0, MAX_MESSAGE)])
}

export function decodeFailure(text: string): { name: string; message: string } {
  try {
    const [name, message] = JSON.parse(text) as [unknown, unknown]
    return { name: String(name), message: String(message) }
  } catch {
    return { name: 'Error', message: 'its record is unreadable' }
  }
}

/** Digest of a payload, the same for objects whose keys stand in another order. */
export function fingerprint(payload: unknown): string {
  if (payload === undefined) return ''
  const { text } = writeJson(payload, true)
  return createHash('sha256')
    .update(canonical(JSON.parse(text)))
    .digest('base64url')
}

function canonical(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${sorted.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}
