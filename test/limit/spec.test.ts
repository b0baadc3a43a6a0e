import { describe, expect, it } from 'vitest'
import { ConfigError, InvalidOption } from '../../src/base/errors.ts'
import { limitCategories } from '../../src/limit/categories.ts'
import { createLimiter } from '../../src/limit/limiter.ts'
import { compile } from '../../src/limit/policy.ts'
import { type LimitSpec, parseLimit } from '../../src/limit/spec.ts'

describe('limits as text', () => {
  it.each([
    ['100/hour', 100, 3_600_000, 'sliding', 100],
    ['20/minute', 20, 60_000, 'sliding', 20],
    ['50/hour', 50, 3_600_000, 'sliding', 50],
    ['200/hour', 200, 3_600_000, 'sliding', 200],
    ['10/minute', 10, 60_000, 'sliding', 10],
    ['10/s burst 20', 10, 1_000, 'gcra', 20],
    ['5 per 15m', 5, 900_000, 'sliding', 5],
    ['5 per 15 minutes', 5, 900_000, 'sliding', 5],
    [' 1_000 / 2 Days ', 1_000, 172_800_000, 'sliding', 1_000],
    ['3/500ms', 3, 500, 'sliding', 3],
    ['3 per 1.9s', 3, 1_900, 'sliding', 3],
    ['3 per 1.1s', 3, 1_100, 'sliding', 3],
    ['7/week', 7, 604_800_000, 'sliding', 7],
    ['0/minute', 0, 60_000, 'sliding', 0],
  ] as const)(
    'reads %s [S4-21, S4-22, S4-23, S4-24, S4-25, L5]',
    (text, limit, windowMs, algorithm, capacity) => {
      expect(parseLimit(text)).toMatchObject({ limit, windowMs, algorithm, capacity })
    },
  )

  it.each([
    '',
    'many',
    '10',
    '10/',
    '/hour',
    '10/month',
    '10/fortnight',
    '-1/hour',
    '1.5/hour',
    '1e3/hour',
    '10/0s',
    '10/0.5ms',
    '10 per 1.5ms',
    '10/20y',
    '10/hour burst',
    '10/hour burst 0',
    '10/hour burst 1.5',
    '10/hour burst 20 burst 30',
    '10/hour; 5/minute',
    '1'.repeat(20),
    `1/${'9'.repeat(400)}s`,
    'NaN/hour',
    '٣/hour',
    '10/constructor',
    '10/__proto__',
  ])('refuses %s, with how to write it', (text) => {
    expect(() => parseLimit(text)).toThrow(InvalidOption)
  })

  it.each([
    { limit: 1.5, window: 1_000 },
    { limit: -1, window: 1_000 },
    { limit: 1e13, window: 1_000 },
    { limit: Number.NaN, window: 1_000 },
    { limit: 1, window: 0 },
    { limit: 1, window: 0.5 },
    { limit: 1, window: 1.5 },
    { limit: 1, window: -1 },
    { limit: 1, window: Number.POSITIVE_INFINITY },
    { limit: 1, window: '20000d' },
    { limit: 1, window: '1h', algorithm: 'leaky' },
    { limit: 1, window: '1h', algorithm: 'fixed', burst: 3 },
    { limit: 1, window: '1h', align: 'calendar' },
    { limit: 2_000, window: '1h', algorithm: 'log' },
    { limit: 1, window: '1h', name: 'naïve' },
    { limit: 1, window: '1h', name: '' },
    { window: '1h' },
  ])('refuses what cannot be kept exactly: %o', (spec) => {
    expect(() => parseLimit(spec as LimitSpec)).toThrow(InvalidOption)
  })

  it('keeps a window of 1 ms and the largest limit', () => {
    expect(parseLimit({ limit: 1e12, window: 1 })).toMatchObject({ limit: 1e12, windowMs: 1 })
  })

  it('refuses none, too many, and two that would share a counter', () => {
    expect(() => compile([])).toThrow(InvalidOption)
    expect(() => compile(Array.from({ length: 17 }, (_, index) => `1/${index + 1}s`))).toThrow(InvalidOption)
    expect(() => compile(['10/minute', '20 per 60s'])).toThrow(/stricter/)
    expect(() => compile(['10/minute', '20/minute burst 30'])).not.toThrow()
  })

  it('refuses options nobody reads, and values that mean nothing', () => {
    const make = (more: object) => () => createLimiter({ name: 'x', limits: '1/s', ...more })
    for (const more of [
      { onUnavailble: 'deny' },
      { onUnavailable: 'maybe' },
      { deadline: 0 },
      { deadline: -1 },
      { instances: 0 },
      { instances: 1.5 },
      { denyCache: -1 },
      { name: '' },
      { name: 'a\nb' },
      { namespace: '' },
      { limits: {} },
      { limits: { user: 'much' } },
      { limits: undefined },
      { limits: null },
      { limits: 5 },
    ]) {
      expect(make(more), JSON.stringify(more)).toThrow(/\[INVALID_(?:OPTION|KEY)\]/)
    }
  })
})

describe('named categories', () => {
  const seeds = {
    default: '100/hour',
    query: '20/minute',
    upload: '50/hour',
    dataset_ops: '200/hour',
    auth: '10/minute',
  }

  it('stand as written, and each is overridden by its variable [S4-21, S4-22, S4-23, S4-24, S4-25]', () => {
    expect(limitCategories(seeds)).toMatchObject({ enabled: true, limits: seeds, sources: {} })
    const { limits, sources } = limitCategories(seeds, {
      RATE_LIMIT_QUERY: '30/minute',
      RATE_LIMIT_DATASET_OPS: ' 10/s burst 20; 500/hour ',
      RATE_LIMIT_EXPORT: '2/day',
      RATE_LIMIT_UPLOAD: '',
      OTHER: '1/s',
    })
    expect(limits).toMatchObject({
      ...seeds,
      query: '30/minute',
      dataset_ops: ['10/s burst 20', '500/hour'],
      export: '2/day',
    })
    expect(sources).toEqual({
      query: 'RATE_LIMIT_QUERY',
      dataset_ops: 'RATE_LIMIT_DATASET_OPS',
      export: 'RATE_LIMIT_EXPORT',
    })
  })

  it('deny call n+1 of each, independently of each other [S4-21, S4-22, S4-23, S4-24, S4-25]', async () => {
    for (const [name, limits] of Object.entries(limitCategories(seeds).limits)) {
      const limiter = createLimiter({ name, limits })
      const most = parseLimit(limits as string).limit
      for (let call = 0; call < most; call++) expect((await limiter.consume('u')).allowed).toBe(true)
      expect((await limiter.consume('u')).allowed).toBe(false)
    }
  })

  it('can be switched off, and a variable that is no limit is named without its value [S4-9]', () => {
    for (const off of ['false', '0', 'OFF', 'no']) {
      expect(limitCategories({}, { RATE_LIMIT_ENABLED: off }).enabled).toBe(false)
    }
    expect(() => limitCategories({}, { RATE_LIMIT_ENABLED: 'maybe' })).toThrow(ConfigError)
    expect(() => limitCategories({}, { RATE_LIMIT_AUTH: 'hunter2' })).toThrow(/RATE_LIMIT_AUTH/)
    expect(() => limitCategories({}, { RATE_LIMIT_AUTH: 'hunter2' })).not.toThrow(/hunter2/)
  })
})
