import { createHash } from 'node:crypto'
import { listOf, requestField } from './fields.ts'
import type { HeaderRecord } from './message.ts'

/** Names in a Vary field, lower case, sorted, each once; undefined for `*`, which matches nothing. */
export function varyNames(lines: readonly string[], extra: readonly string[]): readonly string[] | undefined {
  const names = new Set(extra)
  for (const line of lines) {
    for (const name of listOf(line.toLowerCase())) {
      if (name === '*') return undefined
      names.add(name)
    }
  }
  return [...names].sort()
}

/** Whose order and case mean nothing: RFC 9110, 12.5. */
const SETS = new Set(['accept', 'accept-encoding', 'accept-language', 'accept-charset'])

/** A selecting field as it is compared: without the white space that means nothing (RFC 9111, 4.1). */
export function selectingValue(headers: HeaderRecord, name: string): string | null {
  const value = requestField(headers, name)
  if (value === undefined) return null
  // Inside quotes a space or a comma is part of the value.
  if (value.includes('"')) return value.trim()
  if (SETS.has(name)) {
    return listOf(value.toLowerCase())
      .map((one) => one.replace(/[ \t]*([;=])[ \t]*/g, '$1'))
      .sort()
      .join(',')
  }
  return listOf(value).join(',')
}

export function selectingValues(headers: HeaderRecord, names: readonly string[]): readonly (string | null)[] {
  return names.map((name) => selectingValue(headers, name))
}

export function sameValues(a: readonly (string | null)[], b: readonly (string | null)[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Stands for names and values in a key; values may be long, and may be nobody's business. */
export function variantDigest(names: readonly string[], values: readonly (string | null)[]): string {
  return createHash('sha256')
    .update(JSON.stringify([names, values]))
    .digest('base64url')
    .slice(0, 22)
}
