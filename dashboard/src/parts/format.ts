const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const precise = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })
const day = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' })

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

export const NOTHING = '–'

/** 12,345, from a million on 1.2M: the width of a figure that moves stays about the same. */
export function count(n: number | null | undefined): string {
  if (n === null || n === undefined) return NOTHING
  return Math.abs(n) >= 1_000_000 ? short.format(n) : whole.format(n)
}

export function percent(n: number | null | undefined): string {
  return n === null || n === undefined ? NOTHING : `${n.toFixed(1)} %`
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB']

export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return NOTHING
  let value = n
  let unit = 0
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024
    unit++
  }
  return `${unit === 0 ? whole.format(value) : value.toFixed(1)} ${UNITS[unit]}`
}

/** A latency: 0.08 ms, 4.2 ms, 1.3 s. */
export function latency(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NOTHING
  if (ms >= 1_000) return `${precise.format(ms / 1_000)} s`
  return `${precise.format(ms)} ms`
}

/** A latency that was measured, where nothing takes no time at all. */
export function measured(ms: number | null | undefined): string {
  return ms !== null && ms !== undefined && ms < 0.01 ? '< 0.01 ms' : latency(ms)
}

const SPANS: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** A length of time in its two largest units: `3 h 20 min`, `45 s`. */
export function span(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'for ever'
  let rest = Math.max(0, Math.round(seconds))
  const parts: string[] = []
  for (const [size, unit] of SPANS) {
    const n = Math.floor(rest / size)
    if (n > 0) parts.push(`${n} ${unit}`)
    else if (parts.length > 0) break
    rest -= n * size
    if (parts.length === 2) break
  }
  return parts.length === 0 ? '0 s' : parts.join(' ')
}

export const moment = (at: string | number): string => day.format(new Date(at))

export const clockTime = (at: number): string => clock.format(at)

/** Beside now: `just now`, `3 min ago`, `in 2 h`. */
export function distance(at: string | number, now: number): string {
  const seconds = (new Date(at).getTime() - now) / 1_000
  if (!Number.isFinite(seconds)) return NOTHING
  if (Math.abs(seconds) < 2) return 'just now'
  const [largest = ''] = /^\d+ \w+/.exec(span(Math.abs(seconds))) ?? []
  return seconds < 0 ? `${largest} ago` : `in ${largest}`
}

export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`
