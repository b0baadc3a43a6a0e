import type { Cache } from 'holdfast'
import type { Trace } from './cached-tasks.ts'
import { Problem } from './problem.ts'

export type Rates = (currency: string, trace: Trace) => Promise<unknown>

/** Exchange rates of a slow service: an hour fresh, and a day more should it fail. */
export function cachedRates(cache: Cache, upstream: string): Rates {
  return cache.define<[string, Trace], unknown>(
    { key: (currency) => `rate:${currency}`, ttl: '1h', stale: '1d' },
    async (currency, trace, { signal }) => {
      trace.loaded = true
      const answer = await fetch(`${upstream}/rates/${currency}`, { signal })
      if (answer.status === 404) throw new Problem(404, 'there is no such currency')
      if (!answer.ok) throw new Problem(502, 'the exchange-rate service failed')
      return answer.json()
    },
  )
}

/** Asks for what will be wanted anyway, before anybody does. */
export async function warmRates(rates: Rates, currencies: readonly string[]): Promise<void> {
  await Promise.allSettled(currencies.map((currency) => rates(currency, { loaded: false })))
}
