import type { Answer } from './outbound-answer.ts'

/** Why an upstream's answer is not what was asked for. */
export type FailureKind =
  /** No whole answer: refused, reset, cut. */
  | 'network'
  /** No whole answer in time. */
  | 'timeout'
  /** 500 and above, and those that the policy names. */
  | 'status'
  /** 429, or an error whose body says that the quota is used up. */
  | 'throttled'
  /** Not of the kind that was expected: an HTML page where JSON was to come. */
  | 'content'
  /** Not asked: our own outbound limit has no turn for it. */
  | 'quota'

/** Why an upstream's answer was none, for `staleIfError`. */
export interface OutboundFailure {
  readonly kind: FailureKind
  readonly route: string
  /** Of the answer, where there was one. */
  readonly status: number | undefined
  readonly cause?: unknown
}

/** Carries a failure through the cache, which then serves what it has; no caller ever gets it. */
export class UpstreamFailure extends Error implements OutboundFailure {
  readonly kind: FailureKind
  readonly route: string
  readonly answer: Answer | undefined

  constructor(kind: FailureKind, route: string, answer?: Answer, cause?: unknown) {
    super(`the upstream of route ${route} failed: ${kind}`, { cause })
    this.name = 'UpstreamFailure'
    this.kind = kind
    this.route = route
    this.answer = answer
  }

  get status(): number | undefined {
    return this.answer?.status
  }
}

/** What a body says about being throttled. */
export interface Throttle {
  /** How long to pause, where it is said. */
  readonly pauseMs: number | undefined
}

/** Statuses that come with a coded body: Meta sent code 4 with 400 and with 403. */
const CODED = new Set([400, 403, 429, 503])
const MAX_CODED_BYTES = 64 * 1024
/** Meta: application, user, page, custom; business use cases are 80000 to 80014. */
const META_CODES = new Set([4, 17, 32, 341, 613])

/**
 * Recognises a throttle: 429, Meta's error codes (Marketing API, "Rate Limiting"), and Google's
 * RESOURCE_EXHAUSTED with its retry delay (google.rpc.RetryInfo, and GoogleAdsFailure's
 * quotaErrorDetails).
 */
export function throttleOf(status: number, bytes: Buffer): Throttle | undefined {
  const plain = status === 429 ? { pauseMs: undefined } : undefined
  if (!CODED.has(status) || bytes.length > MAX_CODED_BYTES) return plain
  const parsed = json(bytes)
  // searchStream answers with an array, errors included.
  const error = field(Array.isArray(parsed) ? parsed[0] : parsed, 'error')
  const code = field(error, 'code')
  const isMeta = typeof code === 'number' && (META_CODES.has(code) || (code >= 80_000 && code <= 80_014))
  const isGoogle = field(error, 'status') === 'RESOURCE_EXHAUSTED'
  if (!isMeta && !isGoogle) return plain
  return { pauseMs: isGoogle ? longestDelay(field(error, 'details')) : undefined }
}

function longestDelay(details: unknown): number | undefined {
  const found: number[] = []
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 6) return
    for (const [name, inner] of Object.entries(value)) {
      const seconds =
        name === 'retryDelay' ? /^(\d{1,7}(?:\.\d{1,9})?)s$/.exec(String(inner))?.[1] : undefined
      if (seconds !== undefined) found.push(Number(seconds) * 1_000)
      else visit(inner, depth + 1)
    }
  }
  visit(details, 0)
  return found.length === 0 ? undefined : Math.max(...found)
}

/** Whether these are the bytes of JSON; an empty body is none. */
export function isJson(bytes: Buffer): boolean {
  return json(bytes) !== undefined
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}
