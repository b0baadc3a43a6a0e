import { InvalidOption } from './errors.ts'

type Unit = 'ms' | 's' | 'm' | 'h' | 'd'

/**
 * A length of time: a number of milliseconds, or a number with a unit (`'250ms'`, `'1.5s'`,
 * `'5m'`, `'12h'`, `'30d'`). The same type everywhere a time is asked for.
 */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`

const MS_PER_UNIT: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const PATTERN = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/
const seen = new Map<string, number>()

/** Longest accepted duration: ten years, far below the bounds of PX and of `setTimeout` chains. */
export const MAX_DURATION_MS = 3_650 * 86_400_000

/**
 * Milliseconds of a duration.
 * @param name the option it belongs to, quoted in the error
 * @throws InvalidOption when it is negative, NaN, infinite, over ten years, or not understood
 */
export function toMs(value: Duration, name: string): number {
  if (typeof value === 'number') return checked(value, value, name)
  const known = seen.get(value)
  if (known !== undefined) return known
  const match = typeof value === 'string' ? PATTERN.exec(value.trim()) : null
  if (!match) throw refuse(value, name)
  const ms = checked(Number(match[1]) * (MS_PER_UNIT[match[2]!] ?? Number.NaN), value, name)
  if (seen.size < 1_000) seen.set(value, ms)
  return ms
}

function checked(ms: number, given: unknown, name: string): number {
  if (!(ms >= 0 && ms <= MAX_DURATION_MS)) throw refuse(given, name)
  return ms
}

function refuse(given: unknown, name: string): InvalidOption {
  const shown = typeof given === 'string' ? `'${given.slice(0, 40)}'` : String(given)
  return new InvalidOption(
    `${name} is ${shown}, which is not a duration`,
    `give milliseconds (300_000) or a number with a unit ('5m', '1.5s', '12h'), from 0 to ten years`,
  )
}
