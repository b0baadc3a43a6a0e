import { describe, expect, it } from 'vitest'
import type { HttpProfile } from '../../src/http/options.ts'
import {
  LEAK_CASES,
  type LeakAsk,
  type LeakCase,
  type LeakRequest,
  type LeakServer,
  type LeakSubject,
} from './leak-matrix.ts'

/** Runs the whole matrix over a subject. */
export function describeLeaks(name: string, subject: LeakSubject): void {
  for (const profile of ['safe', 'rfc'] as const) {
    const cases = LEAK_CASES.filter(
      (one) => (profile === 'safe' || !one.onlySafe) && (subject.canChooseScheme || !one.needsScheme),
    )
    describe(`${name}, profile ${profile}: no answer reaches whom it is not for`, () => {
      it.each(cases.map((one) => [one.name, one] as const))('%s [B17]', async (_, one) => {
        expect(await findLeak(subject, profile, one)).toBeUndefined()
      })
    })
  }
}

/**
 * Each pair one after the other, and at the same time, so that nobody gets another's answer from the
 * store nor from a load that is on its way.
 */
export async function findLeak(
  subject: LeakSubject,
  profile: HttpProfile,
  one: LeakCase,
): Promise<string | undefined> {
  const inTurn = await withServer(subject, profile, one, false, async (server, app) => {
    for (const ask of [one.first, one.second, one.first, one.second]) {
      const fault = app.faultOf(ask, await server.ask(ask))
      if (fault) return fault
    }
    return undefined
  })
  if (inTurn) return `in turn: ${inTurn}`
  const atOnce = await withServer(subject, profile, one, true, async (server, app) => {
    const asks = [one.first, one.second, one.first, one.second, one.second, one.first]
    const answers = await Promise.all(asks.map((ask) => server.ask(ask)))
    return asks.map((ask, i) => app.faultOf(ask, answers[i]!)).find((fault) => fault)
  })
  return atOnce && `at once: ${atOnce}`
}

async function withServer(
  subject: LeakSubject,
  profile: HttpProfile,
  one: LeakCase,
  isSlow: boolean,
  run: (server: LeakServer, app: Application) => Promise<string | undefined>,
): Promise<string | undefined> {
  const app = new Application(one, isSlow)
  const server = await subject.start((request) => app.answer(request), { profile, route: one.route ?? {} })
  try {
    return await run(server, app)
  } finally {
    await server.close()
  }
}

/** Answers as cacheably as it can, and says in the body for whom. */
class Application {
  readonly #case: LeakCase
  readonly #isSlow: boolean

  constructor(one: LeakCase, isSlow: boolean) {
    this.#case = one
    this.#isSlow = isSlow
  }

  async answer(request: LeakRequest) {
    if (this.#isSlow) await new Promise((resolve) => setTimeout(resolve, 5))
    const own = this.#case.answers?.(request)
    const whose = this.#case.whose(request) ?? 'nobody'
    return {
      status: own?.status ?? 200,
      headers: { 'cache-control': 'max-age=60', 'x-whose': encodeURIComponent(whose), ...own?.headers },
      body: `for:${encodeURIComponent(whose)}`,
    }
  }

  /** Whose answer it is instead of his who asked. */
  faultOf(ask: LeakAsk, answer: Awaited<ReturnType<LeakServer['ask']>>): string | undefined {
    const whose = this.#expected(ask)
    const told = answer.headers['x-whose']
    if (told !== undefined && told !== whose) return `fields of ${told} for ${whose}`
    if (ask.method === 'HEAD' || answer.status === 304) return undefined
    const expected = `for:${whose}`
    // A part of it is enough: a range may have been cut out.
    const isRight = answer.body === expected || (answer.status === 206 && expected.startsWith(answer.body))
    return isRight ? undefined : `${answer.status} '${answer.body}' for ${whose}`
  }

  #expected(ask: LeakAsk): string {
    const { method = 'GET', url = '/', host = 'shop.example', scheme = 'http', headers = {} } = ask
    return encodeURIComponent(this.#case.whose({ method, url, host, scheme, headers }) ?? 'nobody')
  }
}
