/**
 * The world that the simulated ad networks tell of: 24 advertisers, each with an account at Meta, one at
 * Google Ads and a GA4 property. Figures are made from ids and dates, so that a question asked twice, of
 * another process or on another day, has the same answer.
 */
import { seeded } from './traffic.ts'

export interface Campaign {
  readonly id: string
  readonly name: string
}

/** One campaign on one day. */
export interface Figures {
  readonly impressions: number
  readonly clicks: number
  readonly reach: number
  /** Millionths of the account's currency. */
  readonly costMicros: number
  readonly conversions: number
}

export const ADVERTISERS = 24
const GOALS = ['Brand', 'Leads', 'Sale', 'Remarketing', 'App', 'Store visits']
const PLACES = ['Hanoi', 'Saigon', 'Da Nang', 'Hue', 'Can Tho']
const DAY_MS = 86_400_000

/** Ids of the n-th advertiser, n from 1. */
export const metaAccount = (n: number): string => `1002003004005${String(n).padStart(2, '0')}`
export const googleCustomer = (n: number): string => `48310000${String(n).padStart(2, '0')}`
export const ga4Property = (n: number): string => `3120000${String(n).padStart(2, '0')}`

/** Which advertiser an id belongs to, where it is one that `idOf` gives. */
export function advertiserOf(id: string, idOf: (n: number) => string): number | undefined {
  const n = Number(id.slice(-2))
  return n >= 1 && n <= ADVERTISERS && idOf(n) === id ? n : undefined
}

/** 20 to 39 of them, by account. */
export function campaignsOf(account: string): Campaign[] {
  const count = 20 + (numberOf(account) % 20)
  return Array.from({ length: count }, (_, i) => ({
    id: `2${account.slice(-6)}${1_000 + i}`,
    name: `${GOALS[i % GOALS.length]} ${PLACES[Math.floor(i / GOALS.length) % PLACES.length]} ${i + 1}`,
  }))
}

export function figuresOf(campaign: string, date: string): Figures {
  const random = seeded(numberOf(`${campaign} ${date}`))
  const impressions = Math.round(200 + random() * 20_000)
  const clicks = Math.round(impressions * (0.005 + random() * 0.03))
  return {
    impressions,
    clicks,
    reach: Math.round(impressions * (0.5 + random() * 0.4)),
    costMicros: clicks * Math.round(100_000 + random() * 900_000),
    conversions: Math.round(clicks * random() * 0.1),
  }
}

export function sumOf(campaign: string, days: readonly string[]): Figures {
  const sum = { impressions: 0, clicks: 0, reach: 0, costMicros: 0, conversions: 0 }
  for (const day of days) {
    const figures = figuresOf(campaign, day)
    for (const name of Object.keys(sum) as (keyof Figures)[]) sum[name] += figures[name]
  }
  return sum
}

/** Every day from `since` to `until`, both `2026-11-20`; undefined where that is no range of at most 400 days. */
export function daysOf(since: string, until: string): string[] | undefined {
  const [from, to] = [timeOf(since), timeOf(until)]
  if (from === undefined || to === undefined || from > to || to - from > 400 * DAY_MS) return undefined
  const count = (to - from) / DAY_MS + 1
  return Array.from({ length: count }, (_, i) => new Date(from + i * DAY_MS).toISOString().slice(0, 10))
}

function timeOf(date: string): number | undefined {
  const time = /^\d{4}-\d\d-\d\d$/.test(date) ? Date.parse(date) : Number.NaN
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(date) ? time : undefined
}

/** FNV-1a. */
function numberOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
