/** What a remote API says about our use of it, in the fields of its answers. */
export interface RemoteSignal {
  /** Whom it concerns where the remote says so (an id of Meta's Business Use Case header), else undefined. */
  readonly id: string | undefined
  /** Wait this long before the next call; undefined = no need. */
  readonly pauseMs: number | undefined
  /** Units that are left, where it says so. */
  readonly remaining: number | undefined
}

/** When a remote's usage figures mean a pause. */
export interface SignalOptions {
  /** From this share of a Meta quota on, pause, 0 to 100. @default 100 */
  readonly usagePercent?: number | undefined
  /** Pause when a Meta quota is used up and no time is given. @default 60_000 */
  readonly usagePauseMs?: number | undefined
}

/** `Headers` of fetch, or a plain record as Node and undici hand out. */
export type HeaderBag =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>

/** Longest pause that a remote can impose. */
const MAX_PAUSE_MS = 7 * 86_400_000
const MAX_LENGTH = 65_536

/**
 * Reads `Retry-After` (RFC 9110), `RateLimit` (IETF draft), `X-App-Usage`, `X-Ad-Account-Usage` and
 * `X-Business-Use-Case-Usage` (Meta). What it does not understand it ignores: a remote's bad header
 * must not stop the calls to it.
 * @param nowMs wall clock, for dates in `Retry-After`
 */
export function readSignals(headers: HeaderBag, nowMs: number, options: SignalOptions = {}): RemoteSignal[] {
  const field = (name: string) => {
    const value = fieldOf(headers, name)
    return value !== undefined && value.length <= MAX_LENGTH ? value : undefined
  }
  const signals: RemoteSignal[] = []
  const say = (id: string | undefined, pause: number | undefined, remaining?: number) => {
    const known = pause !== undefined && pause > 0 ? Math.min(pause, MAX_PAUSE_MS) : undefined
    if (known !== undefined || remaining !== undefined) signals.push({ id, pauseMs: known, remaining })
  }
  const retry = retryAfterMs(field('retry-after'), nowMs)
  // Retry-After wins over t (IETF draft, section 5).
  for (const { remaining, resetMs } of rateLimits(field('ratelimit'))) {
    say(undefined, retry === undefined && remaining === 0 ? resetMs : undefined, remaining)
  }
  say(undefined, retry)
  const { usagePercent = 100, usagePauseMs = 60_000 } = options
  const overUsed = (usage: unknown, names: readonly string[]) =>
    isRecord(usage) && names.some((name) => Number(usage[name]) >= usagePercent)
  if (overUsed(json(field('x-app-usage')), META_COUNTERS)) say(undefined, usagePauseMs)
  const account = json(field('x-ad-account-usage'))
  if (isRecord(account) && overUsed(account, ['acc_id_util_pct'])) {
    const reset = Number(account.reset_time_duration)
    say(undefined, reset > 0 ? reset * 1_000 : usagePauseMs)
  }
  const businesses = json(field('x-business-use-case-usage'))
  for (const [id, uses] of isRecord(businesses) ? Object.entries(businesses) : []) {
    for (const use of Array.isArray(uses) ? uses : []) {
      if (!isRecord(use)) continue
      const minutes = Number(use.estimated_time_to_regain_access)
      if (minutes > 0) say(id, minutes * 60_000)
      else if (overUsed(use, META_COUNTERS)) say(id, usagePauseMs)
    }
  }
  return signals
}

const META_COUNTERS = ['call_count', 'total_cputime', 'total_time']

function fieldOf(headers: HeaderBag, name: string): string | undefined {
  if (typeof headers.get === 'function') return headers.get(name) ?? undefined
  for (const [key, value] of Object.entries(headers)) {
    if (key.toLowerCase() === name && value) return typeof value === 'string' ? value : value.join(', ')
  }
  return undefined
}

/** Seconds or a date, as milliseconds from now. */
function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\s*\d{1,10}\s*$/.test(value)) return Number(value) * 1_000
  const date = /^\s*[A-Z][a-z]{2,8},? /.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}

/** Items `"name";r=50;t=30`, the names quoted and free to hold commas. */
function rateLimits(value: string | undefined): { remaining: number; resetMs: number | undefined }[] {
  const items = value?.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g) ?? []
  return items.flatMap((item) => {
    const parameters = item.replace(/^\s*(?:"(?:[^"\\]|\\.)*"|[^;]*)/, '')
    const number = (name: string) => {
      const found = new RegExp(`;\\s*${name}=(\\d{1,15})(?![\\d.])`).exec(parameters)
      return found ? Number(found[1]) : undefined
    }
    const remaining = number('r')
    const reset = number('t')
    return remaining === undefined
      ? []
      : [{ remaining, resetMs: reset === undefined ? undefined : reset * 1_000 }]
  })
}

function json(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
