import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ga4Property, googleCustomer, metaAccount } from './ad-figures.ts'
import { startGa4 } from './ga4.ts'
import { DEVELOPER_TOKEN, startGoogleAds } from './google-ads.ts'
import { GOOGLE_CLIENT } from './google-oauth.ts'
import { META_TOKEN, startMeta } from './meta.ts'
import type { Simulator } from './simulator.ts'

let meta: Simulator
let ads: Simulator
let ga4: Simulator
beforeAll(async () => {
  ;[meta, ads, ga4] = await Promise.all([startMeta({ callsPerHour: 100 }), startGoogleAds(), startGa4()])
})
afterEach(async () => {
  for (const sim of [meta, ads, ga4]) {
    sim.reset()
    await control(sim, 'quota', { used: 0 })
  }
})
afterAll(() => Promise.all([meta, ads, ga4].map((sim) => sim.close())))

interface Answer<Body> {
  status: number
  headers: Headers
  body: Body
}

async function ask<Body>(url: string, init?: RequestInit): Promise<Answer<Body>> {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, body: (await response.json()) as Body }
}

const control = (sim: Simulator, what: string, body: object = {}) =>
  fetch(`${sim.url}/__sim/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

describe('Meta', () => {
  interface Page {
    data: Record<string, unknown>[]
    paging: { cursors: { before: string; after: string }; next?: string }
    error: { code: number; error_subcode?: number; type: string }
  }
  const insights = (words: Record<string, string> = {}, account = `act_${metaAccount(1)}`) => {
    const query = new URLSearchParams({
      level: 'campaign',
      fields: 'campaign_id,campaign_name,impressions,spend,actions',
      time_range: '{"since":"2026-11-01","until":"2026-11-07"}',
      access_token: META_TOKEN,
      ...words,
    })
    return ask<Page>(`${meta.url}/v25.0/${account}/insights?${query}`)
  }

  it('pages by cursors, numbers are strings, and the last page has no next', async () => {
    const whole = await insights({ limit: '500' })
    expect(whole.body.paging.next).toBeUndefined()
    expect(whole.body.data[0]).toEqual({
      campaign_id: expect.stringMatching(/^\d+$/),
      campaign_name: expect.any(String),
      impressions: expect.stringMatching(/^\d+$/),
      spend: expect.stringMatching(/^\d+\.\d\d$/),
      actions: expect.arrayContaining([{ action_type: 'purchase', value: expect.stringMatching(/^\d+$/) }]),
      date_start: '2026-11-01',
      date_stop: '2026-11-07',
    })
    const seen: unknown[] = []
    for (let after: string | undefined = ''; after !== undefined; ) {
      const { body }: Answer<Page> = await insights({ limit: '8', ...(after && { after }) })
      seen.push(...body.data)
      expect(body.data.length).toBeLessThanOrEqual(8)
      after = body.paging.next && body.paging.cursors.after
    }
    expect(seen).toEqual(whole.body.data)
    const byDay = await insights({ limit: '500', time_increment: '1' })
    expect(byDay.body.data).toHaveLength(whole.body.data.length * 7)
  })

  it('tells the use of the hour in percent, and throttles by code with 400', async () => {
    await control(meta, 'quota', { used: 0.98 })
    const first = await insights()
    const usage = (answer: Answer<Page>) =>
      JSON.parse(answer.headers.get('x-business-use-case-usage') ?? '')[metaAccount(1)][0]
    expect(usage(first)).toMatchObject({
      type: 'ads_insights',
      call_count: 99,
      estimated_time_to_regain_access: 0,
    })
    await insights()
    const refused = await insights()
    expect([refused.status, refused.body.error.code]).toEqual([400, 80_000])
    expect(usage(refused)).toMatchObject({ call_count: 100, estimated_time_to_regain_access: 60 })
  })

  it('knows its errors: 190 token, 100 object and parameters, 4, 613, and 1', async () => {
    const codes: unknown[] = []
    const note = ({ status, body }: Answer<Page>) => codes.push([status, body.error.code])
    note(await insights({ access_token: 'none' }))
    note(await insights({}, 'act_1'))
    note(await insights({ time_range: '{"since":"2026-02-30","until":"2026-03-01"}' }))
    note(await insights({ limit: '0' }))
    note(await insights({ after: 'here' }))
    for (const kind of ['403', '429', '500'] as const) {
      meta.fault({ kind, times: 1 })
      note(await insights())
    }
    expect(codes).toEqual([
      [400, 190],
      [400, 100],
      [400, 100],
      [400, 100],
      [400, 100],
      [403, 4],
      [400, 613],
      [500, 1],
    ])
    await control(meta, 'token', { token: 'the next one' })
    expect((await insights()).body.error).toMatchObject({
      code: 190,
      error_subcode: 463,
      type: 'OAuthException',
    })
    expect((await insights({ access_token: 'the next one' })).status).toBe(200)
    await control(meta, 'token', { token: META_TOKEN })
  })
})

async function accessToken(): Promise<string> {
  const { clientId, clientSecret, refreshToken } = GOOGLE_CLIENT
  const form = {
    grant_type: 'refresh_token',
    client_id: clientId,
    client_secret: clientSecret,
    refresh_token: refreshToken,
  }
  const { body } = await ask<{ access_token: string; expires_in: number; token_type: string }>(
    `${ads.url}/token`,
    { method: 'POST', body: new URLSearchParams(form) },
  )
  expect(body).toMatchObject({ expires_in: 3_599, token_type: 'Bearer' })
  return body.access_token
}

const post = <Body>(url: string, token: string, body: unknown, headers: Record<string, string> = {}) =>
  ask<Body>(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

describe('Google', () => {
  it('refuses a token request by the name of what is wrong with it', async () => {
    const { clientId, clientSecret } = GOOGLE_CLIENT
    const refused = async (form: Record<string, string>) => {
      const all = { grant_type: 'refresh_token', client_id: clientId, client_secret: clientSecret, ...form }
      const { status, body } = await ask<{ error: string }>(`${ads.url}/token`, {
        method: 'POST',
        body: new URLSearchParams(all),
      })
      return [status, body.error]
    }
    expect(await refused({ client_secret: 'other' })).toEqual([401, 'invalid_client'])
    expect(await refused({ refresh_token: 'other' })).toEqual([400, 'invalid_grant'])
    expect(await refused({ grant_type: 'password' })).toEqual([400, 'unsupported_grant_type'])
  })

  it('Ads streams an array of batches, with int64 as strings', async () => {
    const query = `SELECT campaign.id, campaign.name, metrics.cost_micros, segments.date FROM campaign
      WHERE segments.date BETWEEN '2026-11-01' AND '2026-11-07'`
    const url = `${ads.url}/v26/customers/${googleCustomer(1)}/googleAds:searchStream`
    const token = await accessToken()
    const headers = { 'developer-token': DEVELOPER_TOKEN }
    type Batches = {
      results: unknown[]
      fieldMask: string
      requestId: string
      queryResourceConsumption?: string
    }[]
    const { status, body } = await post<Batches>(url, token, { query }, headers)
    expect([status, body.length > 1]).toEqual([200, true])
    expect(body[0]).toMatchObject({ fieldMask: 'campaign.id,campaign.name,metrics.costMicros,segments.date' })
    expect(body.at(-1)?.queryResourceConsumption).toMatch(/^\d+$/)
    expect(body[0]?.results[0]).toEqual({
      campaign: {
        resourceName: expect.stringMatching(/^customers\/\d+\/campaigns\/\d+$/),
        id: expect.stringMatching(/^\d+$/),
        name: expect.any(String),
      },
      metrics: { costMicros: expect.stringMatching(/^\d+$/) },
      segments: { date: '2026-11-01' },
    })
    type Failure = { error: { status: string; details: { errors: { errorCode: object }[] }[] } }[]
    const failed = async (given: object, more = headers, bearer = token, to = url) => {
      const answer = await post<Failure>(to, bearer, given, more)
      const { error } = answer.body[0]!
      return [answer.status, error.status, error.details?.[0]?.errors[0]?.errorCode]
    }
    const bad = { query: query.replace('campaign.name', 'campaign.nme') }
    expect(await failed(bad)).toEqual([400, 'INVALID_ARGUMENT', { queryError: 'UNRECOGNIZED_FIELD' }])
    expect(await failed({ query }, { 'developer-token': 'x' })).toEqual([
      401,
      'UNAUTHENTICATED',
      { authenticationError: 'DEVELOPER_TOKEN_INVALID' },
    ])
    expect(await failed({ query }, headers, token, url.replace(googleCustomer(1), '1'))).toEqual([
      403,
      'PERMISSION_DENIED',
      { authorizationError: 'USER_PERMISSION_DENIED' },
    ])
    await control(ads, 'quota', { used: 1 })
    expect(await failed({ query })).toEqual([429, 'RESOURCE_EXHAUSTED', { quotaError: 'RESOURCE_EXHAUSTED' }])
    await control(ads, 'expire-tokens')
    expect(await failed({ query })).toEqual([401, 'UNAUTHENTICATED', undefined])
  })

  it('Analytics answers rows of strings, and what is left of the quota', async () => {
    const url = `${ga4.url}/v1beta/properties/${ga4Property(1)}:runReport`
    const token = await accessToken()
    const report = {
      dateRanges: [{ startDate: '2026-11-01', endDate: '2026-11-07' }],
      dimensions: [{ name: 'date' }],
      metrics: [{ name: 'sessions' }, { name: 'totalRevenue' }],
      limit: '5',
      offset: '2',
      returnPropertyQuota: true,
    }
    interface Report {
      rows: object[]
      propertyQuota: { tokensPerHour: { consumed: number; remaining: number } }
      error: { status: string; code: number }
    }
    const { body } = await post<Report>(url, token, report)
    expect(body).toMatchObject({ rowCount: 7, kind: 'analyticsData#runReport' })
    expect(body).toMatchObject({
      metricHeaders: [{ name: 'sessions', type: 'TYPE_INTEGER' }, { name: 'totalRevenue' }],
    })
    expect(body.rows).toHaveLength(5)
    expect(body.rows[0]).toEqual({
      dimensionValues: [{ value: '20261103' }],
      metricValues: [{ value: expect.stringMatching(/^\d+$/) }, { value: expect.any(String) }],
    })
    const { consumed, remaining } = body.propertyQuota.tokensPerHour
    expect(consumed + remaining).toBe(40_000)
    const refused = async (given: object, bearer = token) => {
      const answer = await post<Report>(url, bearer, given)
      return [answer.status, answer.body.error.status]
    }
    expect(await refused({ ...report, metrics: [{ name: 'visits' }] })).toEqual([400, 'INVALID_ARGUMENT'])
    expect(await refused({ ...report, dateRanges: [] })).toEqual([400, 'INVALID_ARGUMENT'])
    expect(await refused(report, 'ya29.made.up')).toEqual([401, 'UNAUTHENTICATED'])
    await control(ga4, 'quota', { used: 1 })
    expect(await refused(report)).toEqual([429, 'RESOURCE_EXHAUSTED'])
    await control(ga4, 'expire-tokens')
    expect(await refused(report)).toEqual([401, 'UNAUTHENTICATED'])
  })
})
