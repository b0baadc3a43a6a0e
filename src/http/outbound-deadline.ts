import type { Clock, Timer } from '../base/clock.ts'
import { LoadTimeout } from '../base/errors.ts'
import type { OutboundFetch, OutboundInit, OutboundReply } from './outbound-request.ts'

/**
 * The head of an answer within `ms`. Its body is the caller's, who may want it for as long as it comes.
 * Rejects with LoadTimeout, and as `send` does.
 */
export async function headInTime(
  send: OutboundFetch,
  url: string,
  init: OutboundInit,
  { clock, ms }: { readonly clock: Clock; readonly ms: number },
): Promise<OutboundReply> {
  const late = new AbortController()
  const signal = init.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal
  let timer: Timer | undefined
  // A fetch that does not heed its signal is late all the same.
  const lateness = new Promise<never>((_resolve, reject) => {
    timer = clock.after(ms, () => {
      const error = new LoadTimeout(`the upstream did not answer within ${ms} ms`)
      late.abort(error)
      reject(error)
    })
  })
  try {
    return await Promise.race([send(url, { ...init, signal }), lateness])
  } finally {
    timer?.cancel()
  }
}
