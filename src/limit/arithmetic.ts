/**
 * What the script computes, in TypeScript, for the memory store. One case per kind of counting; all
 * times in whole microseconds. Keep it beside `check-script.ts`: one contract suite holds them together.
 */

import { subWindow } from './policy.ts'
import type { Limit } from './spec.ts'

/** What one limit remembers of one subject. */
export type Section =
  /** `sliding` and `log`: (sub-window, count) in order of time. */
  | { readonly last: number; readonly entries: readonly { index: number; count: number }[] }
  /** `gcra`: `debt` in units x window, as of `at`. */
  | { at: number; debt: number }
  /** `fixed` */
  | { start: number; used: number }

export interface Reading {
  readonly admitted: boolean
  readonly remaining: number
  /** µs until a refused call could pass, or until the next unit comes back. */
  readonly wait: number
  /** µs until the limit is as good as new. */
  readonly reset: number
  /** Undefined where nothing is to be kept. */
  readonly section: Section | undefined
  /** µs for which the section matters. */
  readonly life: number
}

/** Ten years. */
const LONGEST_US = 315_360_000_000_000

export type Mode = 'consume' | 'peek' | 'refund' | 'penalty'

/** Never changes the section it is given: the caller stores the new one, or does not. */
export function read(
  limit: Limit,
  section: Section | undefined,
  mode: Mode,
  cost: number,
  at: number,
  now: number,
): Reading {
  if (limit.algorithm === 'gcra') return gcra(limit, section, mode, cost, now)
  if (limit.algorithm === 'fixed') return fixed(limit, section, mode, cost, at, now)
  return rolling(limit, section, mode, cost, at, now)
}

function rolling(
  limit: Limit,
  section: Section | undefined,
  mode: Mode,
  cost: number,
  at: number,
  now: number,
): Reading {
  const length = limit.windowMs * 1_000
  const sub = subWindow(limit)
  const horizon = now - length + 1
  const known = section && 'entries' in section && section.last >= horizon ? section : undefined
  const endOf = (index: number) => (index + 1) * sub
  const kept = known?.entries.filter((one) => endOf(one.index) > horizon) ?? []
  const last = kept.at(-1)
  let total = kept.reduce((sum, one) => sum + one.count, 0)
  const left = () => Math.max(0, limit.limit - total)
  let reset = known && last ? known.last + length - now : 0
  const leaves = (index: number) => Math.min(endOf(index) - 1 + length - now, reset)

  if (mode === 'refund') {
    const gone = at > 0 && at < horizon
    // From the old end: what stays counted is never older than what was really used.
    let back = gone ? 0 : Math.min(cost, total)
    total -= back
    const entries = kept.flatMap((one) => {
      const part = Math.min(back, one.count)
      back -= part
      return part === one.count ? [] : [{ index: one.index, count: one.count - part }]
    })
    if (total === 0 || !known) {
      return { admitted: true, remaining: left(), wait: 0, reset: 0, section: undefined, life: 0 }
    }
    const wait = leaves(entries[0]!.index)
    const rest = { last: known.last, entries }
    return { admitted: true, remaining: left(), wait, reset, section: rest, life: reset }
  }
  if (mode !== 'penalty' && total + cost > limit.limit) {
    let wait = Number.POSITIVE_INFINITY
    if (cost <= limit.limit) {
      let over = total + cost - limit.limit
      for (const one of kept) {
        if (over <= 0) break
        over -= one.count
        wait = leaves(one.index)
      }
    }
    return { admitted: false, remaining: left(), wait, reset, section, life: 0 }
  }
  if (mode === 'peek') {
    const wait = kept[0] ? leaves(kept[0].index) : 0
    return { admitted: true, remaining: left(), wait, reset, section, life: 0 }
  }
  const current = Math.max(Math.floor(now / sub), last?.index ?? 0)
  total += cost
  const same = last?.index === current
  const entries = same ? kept.slice(0, -1) : kept.slice()
  entries.push({ index: current, count: cost + (same ? last.count : 0) })
  const hit = Math.max(now, known?.last ?? 0)
  reset = hit + length - now
  const wait = leaves(entries[0]!.index)
  return { admitted: true, remaining: left(), wait, reset, section: { last: hit, entries }, life: reset }
}

function gcra(limit: Limit, section: Section | undefined, mode: Mode, cost: number, now: number): Reading {
  const length = limit.windowMs * 1_000
  const rate = limit.limit
  const full = limit.capacity * length
  const take = cost * length
  let at = now
  let debt = 0
  if (section && 'debt' in section) {
    if (section.at > now) at = section.at
    debt = section.at > now ? section.debt : Math.max(0, section.debt - (now - section.at) * rate)
  }
  const left = () => Math.max(0, Math.floor((full - debt) / length))
  if (mode === 'refund') debt = Math.max(0, debt - take)
  else if (mode !== 'penalty' && debt + take > full) {
    const can = cost <= limit.capacity && rate > 0
    const wait = can ? Math.ceil((debt + take - full) / rate) + (at - now) : Number.POSITIVE_INFINITY
    return {
      admitted: false,
      remaining: left(),
      wait,
      reset: debt > 0 ? Math.ceil(debt / rate) + (at - now) : 0,
      section,
      life: 0,
    }
  } else if (mode !== 'peek') debt += take
  if (rate === 0) {
    const ever = debt > 0 ? Number.POSITIVE_INFINITY : 0
    const life = debt > 0 && mode !== 'peek' ? LONGEST_US : 0
    return { admitted: true, remaining: 0, wait: ever, reset: ever, section: { at, debt }, life }
  }
  const reset = debt > 0 ? Math.ceil(debt / rate) + (at - now) : 0
  const wait = debt > 0 ? Math.ceil((debt % length || length) / rate) + (at - now) : 0
  const reading = { admitted: true, remaining: left(), wait, reset }
  if (mode === 'peek') return { ...reading, section, life: 0 }
  return { ...reading, section: { at, debt }, life: reset }
}

function fixed(
  limit: Limit,
  section: Section | undefined,
  mode: Mode,
  cost: number,
  at: number,
  now: number,
): Reading {
  const length = limit.windowMs * 1_000
  const offset = limit.offsetMs * 1_000
  const calendar = limit.align === 'calendar'
  let start = calendar ? Math.floor((now - offset) / length) * length + offset : now
  let used = 0
  if (section && 'used' in section && (calendar ? section.start >= start : section.start + length > now)) {
    start = section.start
    used = section.used
  }
  const end = start + length - now
  if (mode === 'refund') {
    if (!(at > 0 && at < start)) used = Math.max(0, used - cost)
  } else if (mode !== 'penalty' && used + cost > limit.limit) {
    const wait = cost > limit.limit ? Number.POSITIVE_INFINITY : end
    const remaining = Math.max(0, limit.limit - used)
    return { admitted: false, remaining, wait, reset: used > 0 ? end : 0, section, life: 0 }
  } else if (mode !== 'peek') used += cost
  const wait = used > 0 ? end : 0
  const reading = { admitted: true, remaining: Math.max(0, limit.limit - used), wait, reset: wait }
  if (mode === 'peek') return { ...reading, section, life: 0 }
  return used === 0
    ? { ...reading, section: undefined, life: 0 }
    : { ...reading, section: { start, used }, life: end }
}
