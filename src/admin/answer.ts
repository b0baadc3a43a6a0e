import {
  Closed,
  ConfigError,
  HoldfastError,
  InvalidKey,
  InvalidOption,
  InvalidValue,
} from '../base/errors.ts'
import { Refused } from './problem.ts'

/** What a failure is to a client; undefined: a fault of ours, which the log tells of. */
export function asRefused(error: unknown): Refused | undefined {
  if (error instanceof Refused) return error
  if (!(error instanceof HoldfastError)) return undefined
  const { message } = error
  if (error instanceof InvalidKey || error instanceof InvalidOption || error instanceof InvalidValue) {
    return new Refused(400, message)
  }
  if (error instanceof ConfigError) return new Refused(501, message)
  // What is left of our own errors is Redis being away or refusing.
  return error instanceof Closed
    ? new Refused(503, message)
    : new Refused(503, message, { 'Retry-After': '1' })
}

export function jsonResponse(body: object, withoutBody: boolean): Response {
  const text = JSON.stringify(body)
  return new Response(withoutBody ? null : text, {
    headers: {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    },
  })
}
