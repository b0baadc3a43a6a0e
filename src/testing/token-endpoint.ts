import type { FetchFunction } from '../token/options.ts'

/** A token endpoint without a network: what the contract of token stores needs of one. */
export interface FakeEndpoint {
  readonly fetch: FetchFunction
  readonly forms: Record<string, string>[]
  calls: number
  expiresIn: unknown
  /** Each refresh answers with a new refresh token, and the old one is dead. */
  rotating: boolean
  /** ms until it answers. */
  delayMs: number
  /** It answers when this resolves. */
  gate: Promise<void> | undefined
  answer: (() => Response) | undefined
}

/** @param pause waits in real time */
export function fakeEndpoint(pause: (ms: number) => Promise<void>): FakeEndpoint {
  const live = new Set(['rt-0'])
  let count = 0
  const self: FakeEndpoint = {
    forms: [],
    calls: 0,
    expiresIn: 3_600,
    rotating: false,
    delayMs: 0,
    gate: undefined,
    answer: undefined,
    async fetch(_, init) {
      self.calls++
      const form = Object.fromEntries(new URLSearchParams(String(init?.body)))
      self.forms.push(form)
      if (self.delayMs > 0) await pause(self.delayMs)
      await self.gate
      if (self.answer) return self.answer()
      const answer: Record<string, unknown> = { access_token: `at-${++count}`, token_type: 'bearer' }
      if (self.expiresIn !== undefined) answer.expires_in = self.expiresIn
      if (form.grant_type === 'refresh_token') {
        if (!live.has(form.refresh_token ?? ''))
          return Response.json({ error: 'invalid_grant' }, { status: 400 })
        if (self.rotating) {
          live.delete(form.refresh_token ?? '')
          answer.refresh_token = `rt-${count}`
          live.add(`rt-${count}`)
        }
      }
      if (form.grant_type === 'authorization_code') answer.refresh_token = 'rt-0'
      return Response.json(answer)
    },
  }
  return self
}
