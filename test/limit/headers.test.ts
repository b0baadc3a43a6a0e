import { describe, expect, it } from 'vitest'
import type { Decision } from '../../src/limit/decision.ts'
import { rateLimitHeaders, retryAfterSeconds } from '../../src/limit/headers.ts'
import { createLimiter } from '../../src/limit/limiter.ts'
import { refusal } from '../../src/limit/refusal.ts'
import { parseList } from '../support/structured-fields.ts'

const tricky = { limit: 2, window: '1m', name: 'say "hi" \\ bye' } as const

async function spent(): Promise<Decision> {
  const limiter = createLimiter({ name: 'h', limits: [tricky, '1000/day', { limit: 50, window: '500ms' }] })
  await limiter.consume('a', { cost: 2 })
  return limiter.consume('a')
}

describe('header fields', () => {
  it('are one list of policies and one of states, by the letter of RFC 9651 [L13, S0-7]', async () => {
    const headers = rateLimitHeaders(await spent())
    const policies = parseList(headers['RateLimit-Policy']!)
    const states = parseList(headers.RateLimit!)
    expect(policies).toEqual([
      { value: tricky.name, parameters: { q: 2, w: 60 } },
      { value: '1000/1d', parameters: { q: 1_000, w: 86_400 } },
      { value: '50/500ms', parameters: { q: 50 } },
    ])
    expect(states.map((item) => item.value)).toEqual(policies.map((item) => item.value))
    expect(states.map((item) => item.parameters.r)).toEqual([0, 998, 48])
  })

  it('never invite to come back before it can work: Retry-After >= t [L13]', async () => {
    const decision = await spent()
    const headers = rateLimitHeaders(decision)
    const [first] = parseList(headers.RateLimit!)
    expect(Number(headers['Retry-After'])).toBeGreaterThanOrEqual(first!.parameters.t as number)
    expect(Number(headers['Retry-After']) * 1_000).toBeGreaterThanOrEqual(decision.retryAfter)
  })

  it('name the kind of subject where there are several, and never the subject', async () => {
    const limiter = createLimiter({ name: 'h', limits: { user: '5/minute', ip: '9/minute' } })
    const headers = rateLimitHeaders(await limiter.consume({ user: 'secret-id', ip: '192.0.2.1' }))
    expect(parseList(headers.RateLimit!).map((item) => item.value)).toEqual(['user 5/1m', 'ip 9/1m'])
    expect(JSON.stringify(headers)).not.toMatch(/secret-id|192\.0\.2/)
    expect(headers['Retry-After']).toBeUndefined()
  })

  it('offer the older fields with a date or a delta', async () => {
    const decision = await spent()
    const now = decision.at / 1_000
    const epoch = rateLimitHeaders(decision, { legacy: 'epoch' })
    expect(epoch).toMatchObject({ 'X-RateLimit-Limit': '2', 'X-RateLimit-Remaining': '0' })
    expect(Number(epoch['X-RateLimit-Reset']) * 1_000 - now).toBeGreaterThan(58_000)
    expect(Number(epoch['X-RateLimit-Reset']) * 1_000 - now).toBeLessThanOrEqual(61_000)
    expect(rateLimitHeaders(decision, { legacy: 'delta' })['X-RateLimit-Reset']).toBe('60')
  })

  it('leave Retry-After out where waiting does not help', async () => {
    const limiter = createLimiter({ name: 'h', limits: '0/hour' })
    const decision = await limiter.consume('a')
    expect(retryAfterSeconds(decision)).toBeUndefined()
    expect(parseList(rateLimitHeaders(decision).RateLimit!)).toEqual([
      { value: '0/1h', parameters: { r: 0 } },
    ])
  })
})

describe('the answer to a refused call', () => {
  it('is a 429 with the limits that refused, as problem details [S0-7]', async () => {
    const { status, headers, body } = refusal(await spent())
    expect([status, headers['Content-Type']]).toEqual([429, 'application/problem+json'])
    expect(body).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': [tricky.name],
    })
  })
})
