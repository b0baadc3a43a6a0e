import { Refused } from './problem.ts'

/** A whole number in bounds. @throws Refused (400) */
export function wholeNumber(query: URLSearchParams, name: string, fallback: number, most: number): number {
  const text = query.get(name)
  if (text === null) return fallback
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= 1)) throw new Refused(400, `${name} is no whole number from 1 on.`)
  // More than allowed is a wish, not a fault: the answer says what was applied.
  return Math.min(value, most)
}

/** `true`, `1` or nothing after the name mean yes. @throws Refused (400) */
export function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name)
  if (text === null || text === 'false' || text === '0') return false
  if (text === 'true' || text === '1' || text === '') return true
  throw new Refused(400, `${name} is neither true nor false.`)
}

/** A word, or nothing. @throws Refused (400) for one that is empty or longer than `most` characters */
export function word(query: URLSearchParams, name: string, most = 1_024): string | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (text === '' || text.length > most) {
    throw new Refused(400, `${name} is empty or longer than ${most} characters.`)
  }
  return text
}

/** What every list that is paged takes. */
export const PAGE_QUERY = {
  pattern: 'Glob of names: * ? [a-z] and \\ before a literal.',
  limit: 'Most on the page.',
  cursor: 'Where to go on.',
} as const

/** @throws Refused (400) */
export function pageOf(
  query: URLSearchParams,
  most: number,
): { pattern: string | undefined; limit: number; cursor: string | undefined } {
  return {
    pattern: word(query, 'pattern'),
    limit: wholeNumber(query, 'limit', Math.min(100, most), most),
    cursor: word(query, 'cursor', 64),
  }
}

/** ISO 8601 of ms since 1970. */
export const iso = (ms: number): string => new Date(ms).toISOString()
