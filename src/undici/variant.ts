import { createHash } from 'node:crypto'
import type { CacheOptions } from '../cache/options.ts'
import type { UndiciCacheKey } from './interface.ts'

/*
 * Names in the cache. A variant's name follows from the request and from the names of the fields
 * that its response varied by, so that it is found without searching:
 *   <prefix>:<hash of origin, path>:<method>            the response that varies by nothing
 *   <prefix>:<hash of origin, path>:<method>:fields     which sets of fields responses varied by
 *   <prefix>:<hash of origin, path>:<method>:<hash of the fields and their values>
 */

/** Names of the fields that a response varied by, sorted. */
export type FieldSet = readonly string[]

/** What the sets of one resource are kept as. */
export interface Fields {
  readonly sets: readonly FieldSet[]
  /** Wall clock, ms: when the last of their variants ends. */
  readonly until: number
}

/** More sets than this one resource hardly has: the oldest is forgotten, and its variants with it. */
export const MAX_FIELD_SETS = 8

/** Names of one resource under one method, and where its variants were last seen. */
export interface Place {
  readonly resource: string
  /** Of the variant that varies by nothing. */
  readonly plain: string
  readonly fields: string
  /** One object for all look-ups, so that the cache checks it once. */
  readonly options: CacheOptions
  /** A guess: which variants to ask for at the same time as for the sets themselves. */
  sets: readonly FieldSet[]
}

export const PLAIN_ONLY: readonly FieldSet[] = [[]]

export function placeOf(prefix: string, key: UndiciCacheKey, base: CacheOptions): Place {
  const resource = `${prefix}:${hash([key.origin, key.path])}`
  const plain = `${resource}:${key.method}`
  return {
    resource,
    plain,
    fields: `${plain}:fields`,
    options: { ...base, tags: [resource] },
    sets: PLAIN_ONLY,
  }
}

/** The variant that a request with these header fields gets, under one set. */
export function variantName(plain: string, set: FieldSet, headers: object | undefined): string {
  return set.length === 0 ? plain : `${plain}:${hash(set.map((name) => [name, fieldValue(headers, name)]))}`
}

export function sameSet(a: FieldSet, b: FieldSet): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i])
}

/** A field that is absent differs from one that is empty. */
export function fieldValue(headers: object | undefined, name: string): unknown {
  return (headers && Object.hasOwn(headers, name) ? (headers as Record<string, unknown>)[name] : null) ?? null
}

function hash(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 32)
}
