import { HoldfastError } from '../base/errors.ts'

/** A refusal by the server (no rights, wrong type, full) will not mend within a wait. */
export function mayRetry(error: unknown): boolean {
  if (!(error instanceof HoldfastError)) return false
  return error.code === 'REDIS_UNAVAILABLE' || error.code === 'REDIS_TIMEOUT' || isPassing(error)
}

function isPassing(error: HoldfastError): boolean {
  return error.code === 'REDIS_REPLY' && 'prefix' in error && PASSING.has(String(error.prefix))
}

/** LATE: our own script refused to run after its deadline. The rest end with the failover they belong to. */
const PASSING = new Set([
  'LATE',
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
])
