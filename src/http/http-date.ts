const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const TIME = '(\\d{2}):(\\d{2}):(\\d{2})'
const DAY = '(?:mon|tue|wed|thu|fri|sat|sun)'
const IMF = new RegExp(`^${DAY}, (\\d{2}) ([a-z]{3}) (\\d{4}) ${TIME} gmt$`)
const RFC850 = new RegExp(
  `^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\\d{2})-([a-z]{3})-(\\d{2}) ${TIME} gmt$`,
)
const ASCTIME = new RegExp(`^${DAY} ([a-z]{3}) ((?: |\\d)\\d) ${TIME} (\\d{4})$`)

/**
 * Milliseconds of an HTTP-date in one of its three forms (RFC 9110, 5.6.7), without regard to case;
 * undefined for everything else.
 * @param now for two-digit years: none is more than 50 years ahead
 */
export function parseHttpDate(text: string | undefined, now: number): number | undefined {
  if (text === undefined || text.length > 40) return undefined
  const lower = text.toLowerCase()
  const imf = IMF.exec(lower)
  if (imf) return millis(Number(imf[3]), imf[2]!, imf[1]!, imf[4]!, imf[5]!, imf[6]!)
  const asc = ASCTIME.exec(lower)
  if (asc) return millis(Number(asc[6]), asc[1]!, asc[2]!, asc[3]!, asc[4]!, asc[5]!)
  const old = RFC850.exec(lower)
  if (!old) return undefined
  const thisYear = new Date(now).getUTCFullYear()
  let year = Math.floor(thisYear / 100) * 100 + Number(old[3])
  if (year > thisYear + 50) year -= 100
  return millis(year, old[2]!, old[1]!, old[4]!, old[5]!, old[6]!)
}

/** IMF-fixdate. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString()
}

function millis(
  year: number,
  monthName: string,
  day: string,
  hour: string,
  minute: string,
  second: string,
): number | undefined {
  const month = MONTHS.indexOf(monthName)
  if (month < 0 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month, Number(day))
  if (date.getUTCMonth() !== month || date.getUTCDate() !== Number(day)) return undefined
  return date.getTime() + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1_000
}
