import { InvalidOption } from '../base/errors.ts'
import { encodeFailure, encodeResult } from './record.ts'
import type { Ending } from './store.ts'

/** Largest encoded result that is kept, unless a call says otherwise. */
export const MAX_RESULT_BYTES = 65_536

/** An operator's word on a key. */
export type Verdict = { readonly done: unknown } | { readonly failed: string } | 'retry'

/** @throws InvalidOption, InvalidValue */
export function endingOf(verdict: Verdict): Ending {
  if (verdict === 'retry') return { state: 'retry' }
  if (typeof verdict === 'object' && verdict !== null) {
    if ('done' in verdict) return { state: 'done', result: encodeResult(verdict.done, MAX_RESULT_BYTES) }
    if (typeof verdict.failed === 'string') {
      return { state: 'failed', error: encodeFailure(new Error(verdict.failed)) }
    }
  }
  throw new InvalidOption('the verdict is unknown', "give { done: … }, { failed: '…' } or 'retry'")
}
