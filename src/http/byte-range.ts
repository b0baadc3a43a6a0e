import { isEntityTag } from './validators.ts'

/** Both ends included. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * The one range of a Range field over `size` bytes (RFC 9110, 14.1.2). `unsatisfiable` asks for 416.
 * Undefined: to be ignored, because it is malformed, has another unit, or is more than one range.
 */
export function parseRange(text: string, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(text)
  if (!match) return undefined
  const [, from, to] = match as unknown as [string, string, string] // both groups always take part
  if (from === '') {
    if (to === '') return undefined
    const length = Math.min(Number(to), size)
    return length === 0 ? 'unsatisfiable' : { first: size - length, last: size - 1 }
  }
  const first = Number(from)
  if (to !== '' && Number(to) < first) return undefined
  if (first >= size) return 'unsatisfiable'
  return { first, last: to === '' ? size - 1 : Math.min(Number(to), size - 1) }
}

/** Whether If-Range names exactly this representation (RFC 9110, 13.1.5); a weak tag never does. */
export function ifRangeHolds(
  ifRange: string | undefined,
  etag: string | undefined,
  lastModified: string | undefined,
): boolean {
  if (ifRange === undefined) return true
  if (isEntityTag(ifRange)) return !ifRange.startsWith('W/') && ifRange === etag
  return lastModified !== undefined && ifRange === lastModified
}
