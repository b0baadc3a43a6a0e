import { parseHttpDate } from './http-date.ts'

const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/

/** Whether it is an entity-tag at all (RFC 9110, 8.8.3). */
export function isEntityTag(text: string | undefined): text is string {
  return text !== undefined && ENTITY_TAG.test(text)
}

/** Equal up to strength (RFC 9110, 8.8.3.2). */
export function weaklyEqual(a: string, b: string): boolean {
  return opaque(a) === opaque(b)
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}

const LISTED = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/y
const BETWEEN = /[ \t]*,[ \t,]*|[ \t]*$/y

/** The tags of If-None-Match, `'*'`, or undefined when it is no list of tags. */
export function parseTagList(text: string): '*' | readonly string[] | undefined {
  const trimmed = text.trim()
  if (trimmed === '*') return '*'
  const tags: string[] = []
  let at = /^[ \t,]*/.exec(trimmed)![0].length
  while (at < trimmed.length) {
    LISTED.lastIndex = at
    const tag = LISTED.exec(trimmed)?.[0]
    if (tag === undefined) return undefined
    tags.push(tag)
    BETWEEN.lastIndex = at + tag.length
    const gap = BETWEEN.exec(trimmed)?.[0]
    if (gap === undefined) return undefined
    at += tag.length + gap.length
  }
  return tags
}

/** What a client's condition is compared with. */
export interface Validators {
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** Date of the response, for those without Last-Modified (RFC 9111, 4.3.2). */
  readonly dateMs: number
}

/**
 * Whether a GET or HEAD with these conditions is answered by 304. If-None-Match, where it is there,
 * decides alone; a condition that cannot be read is no condition.
 */
export function isNotModified(
  ifNoneMatch: string | undefined,
  ifModifiedSince: string | undefined,
  has: Validators,
  now: number,
): boolean {
  if (ifNoneMatch !== undefined) {
    const tags = parseTagList(ifNoneMatch)
    if (tags === undefined) return false
    if (tags === '*') return true
    const { etag } = has
    return etag !== undefined && tags.some((tag) => weaklyEqual(tag, etag))
  }
  const since = parseHttpDate(ifModifiedSince, now)
  if (since === undefined) return false
  const modified = has.lastModified === undefined ? has.dateMs : parseHttpDate(has.lastModified, now)
  return modified !== undefined && modified <= since
}
