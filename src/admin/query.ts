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
