import type { Clock } from '../base/clock.ts'
import { toMs } from '../base/duration.ts'
import type { BatchContext, BatchHandler, Message, Outcome } from './options.ts'

/** What one message's part of an answer means. */
export type Verdict =
  | { readonly is: 'ok' }
  | { readonly is: 'retry'; readonly after: number | undefined; readonly reason: string }
  | { readonly is: 'dead'; readonly reason: string }

/** `answered` with one verdict per message; else nobody of the batch is done. */
export type Answer =
  | { readonly outcome: 'answered'; readonly verdicts: readonly Verdict[] }
  | { readonly outcome: 'threw' | 'timeout' | 'nonsense'; readonly reason: string }
  | { readonly outcome: 'lost' }

export interface CallSetup<T> {
  readonly clock: Clock
  readonly handle: BatchHandler<T>
  readonly timeout: number
}

const OK: Verdict = { is: 'ok' }

/**
 * Calls the handler once. Always settles: with the handler's answer, at its timeout, or when `stop`
 * aborts. A call that was given up may still be running; its effects are the handler's to make
 * idempotent.
 */
export async function callHandler<T>(
  setup: CallSetup<T>,
  messages: readonly Message<T>[],
  context: Omit<BatchContext, 'signal'>,
  stop: AbortSignal,
): Promise<Answer> {
  const over = new AbortController()
  let finish: (answer: Answer) => void = () => {}
  const givenUp = new Promise<Answer>((resolve) => {
    finish = resolve
  })
  const onStop = (): void => {
    finish({ outcome: 'lost' })
    over.abort(stop.reason)
  }
  if (stop.aborted) return { outcome: 'lost' }
  stop.addEventListener('abort', onStop, { once: true })
  const timer = setup.clock.after(setup.timeout, () => {
    const reason = `the handler did not settle within ${setup.timeout} ms`
    finish({ outcome: 'timeout', reason })
    over.abort(new Error(reason))
  })
  const called = (async () => setup.handle(messages, { ...context, signal: over.signal }))()
  try {
    return await Promise.race([
      called.then(
        (result) => read(result, messages.length),
        (error: unknown): Answer => ({ outcome: 'threw', reason: reasonOf(error) }),
      ),
      givenUp,
    ])
  } finally {
    timer.cancel()
    stop.removeEventListener('abort', onStop)
  }
}

function read(result: unknown, length: number): Answer {
  if (result === undefined) return { outcome: 'answered', verdicts: new Array<Verdict>(length).fill(OK) }
  if (!Array.isArray(result) || result.length !== length) {
    const shown = Array.isArray(result)
      ? `${result.length} outcomes for ${length} messages`
      : 'no list of outcomes'
    return { outcome: 'nonsense', reason: `the handler returned ${shown}` }
  }
  return { outcome: 'answered', verdicts: result.map(readOutcome) }
}

function readOutcome(
  outcome: Partial<Record<'ok' | 'retry' | 'dead' | 'after' | 'reason', unknown>> | null,
): Verdict {
  if (typeof outcome === 'object' && outcome !== null) {
    if (outcome.ok === true) return OK
    if (typeof outcome.dead === 'string') return { is: 'dead', reason: cut(outcome.dead) }
    if (outcome.retry === true) {
      const reason =
        typeof outcome.reason === 'string' ? cut(outcome.reason) : 'the handler asked for a retry'
      return { is: 'retry', after: durationOf(outcome as Outcome), reason }
    }
  }
  return { is: 'retry', after: undefined, reason: 'the handler returned an outcome that is none' }
}

function durationOf(outcome: Outcome): number | undefined {
  if (!('after' in outcome) || outcome.after === undefined) return undefined
  try {
    return toMs(outcome.after, 'after')
  } catch {
    return undefined
  }
}

const MAX_REASON = 500

const cut = (text: string): string => text.slice(0, MAX_REASON)

function reasonOf(error: unknown): string {
  return cut(error instanceof Error ? `${error.name}: ${error.message}` : `the handler threw ${typeof error}`)
}
