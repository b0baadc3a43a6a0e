/**
 * Somebody else's API: an exchange-rate service that takes its time.
 * `GET /rates/{currency}` answers after `delayMs`; `GET /__sim/calls` counts what it was asked.
 */
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { listen } from './listen.ts'

export interface SlowUpstream {
  readonly url: string
  readonly port: number
  /** Requests for a rate since the start. */
  calls(): number
  close(): Promise<void>
}

const UNITS_PER_USD: Record<string, number> = { EUR: 0.86, GBP: 0.75, JPY: 149.4, VND: 26_180, CHF: 0.8 }

export async function startSlowUpstream({ delayMs = 300, port = 0 } = {}): Promise<SlowUpstream> {
  let calls = 0
  const server = createServer(async (request, response) => {
    const reply = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const path = new URL(request.url ?? '/', 'http://upstream').pathname
    if (path === '/__sim/calls') return reply(200, { calls })
    const currency = /^\/rates\/([A-Z]{3})$/.exec(path)?.[1]
    if (!currency) return reply(404, { error: 'no such path' })
    calls++
    await sleep(delayMs)
    const perUsd = UNITS_PER_USD[currency]
    if (perUsd === undefined) return reply(404, { error: 'no such currency' })
    return reply(200, { currency, perUsd, asOf: new Date().toISOString() })
  })
  const { port: bound, close } = await listen(server, port)
  return { url: `http://127.0.0.1:${bound}`, port: bound, calls: () => calls, close }
}
