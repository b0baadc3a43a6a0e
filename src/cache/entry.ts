import type { StandardSchema } from '../base/schema.ts'
import type { Core, Scope } from './core.ts'
import { type Holder, Memo } from './holder.ts'
import { MAX_DEPTH } from './json.ts'
import type { Settings } from './settings.ts'
import { corruptions } from './stats.ts'
import { type Body, type Entry, FLAG_NO_L1 } from './store.ts'

/** Stands for a body that could not be read or does not match its schema. */
export const BAD = Symbol('bad entry')

/**
 * The value of a holder, for one caller: the shared frozen object, or a copy of its own.
 * Never throws for a bad body: counts it and answers BAD.
 */
export function open(scope: Scope, holder: Holder, s: Settings, onBad = corrupt): unknown | Promise<unknown> {
  const { memo } = holder
  if (memo instanceof Memo && memo.schema === s.schema) return memo.value
  const pending = scope.core.codec.prepare('json', holder.flags)
  return pending === undefined
    ? decode(scope, holder, s, onBad)
    : pending.then(() => decode(scope, holder, s, onBad))
}

function decodeBody(core: Core, { key, flags, storedAt }: Holder, body: Body, s: Settings): unknown {
  return core.codec.decode(key, body, flags, s.maxValueBytes, s.codec, storedAt)
}

type OnBad = (scope: Scope, holder: Holder, cause: unknown) => typeof BAD

function decode(scope: Scope, holder: Holder, s: Settings, onBad: OnBad): unknown | Promise<unknown> {
  let value: unknown
  try {
    value = holder.body === undefined ? holder.memo?.value : decodeBody(scope.core, holder, holder.body, s)
    if (s.schema === undefined) return share(scope.core, holder, s, value)
    const checked = check(s.schema, s.migrate, value)
    if (checked instanceof Promise) {
      return checked.then(
        (good) => (good === BAD ? onBad(scope, holder, 'schema') : share(scope.core, holder, s, good)),
        (cause: unknown) => onBad(scope, holder, cause),
      )
    }
    return checked === BAD ? onBad(scope, holder, 'schema') : share(scope.core, holder, s, checked)
  } catch (cause) {
    return onBad(scope, holder, cause)
  }
}

function corrupt(scope: Scope, holder: Holder, cause: unknown): typeof BAD {
  scope.counters.corrupt++
  if (corruptions.active) corruptions.publish({ namespace: scope.path, key: holder.key, cause })
  return BAD
}

function share(core: Core, holder: Holder, s: Settings, value: unknown): unknown {
  if (!s.l1 || holder.flags.includes(FLAG_NO_L1)) return value
  const immutable = typeof s.codec === 'object' && s.codec.immutable === true
  // A Date or a Map can be changed although frozen: such a value is copied for each caller.
  if (!immutable && !(core.frozen && deepFreeze(value, 0))) return value
  holder.memo = new Memo(value, s.schema)
  // With a schema the body stays: another caller may come with another schema.
  if (s.schema === undefined) holder.body = undefined
  return value
}

/** The schema's output, or BAD. A stored value of an older shape gets one chance to be migrated. */
function check(
  schema: StandardSchema,
  migrate: ((value: unknown) => unknown) | undefined,
  value: unknown,
): unknown | Promise<unknown> {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) return checkLater(schema, migrate, value, result)
  if (!result.issues) return result.value
  const migrated = migrate?.(value)
  return migrated === undefined ? BAD : check(schema, undefined, migrated)
}

async function checkLater(
  schema: StandardSchema,
  migrate: ((value: unknown) => unknown) | undefined,
  value: unknown,
  pending: ReturnType<StandardSchema['~standard']['validate']>,
): Promise<unknown> {
  const result = await pending
  if (!result.issues) return result.value
  const migrated = await migrate?.(value)
  return migrated === undefined ? BAD : check(schema, undefined, migrated)
}

/** Freezes plain data through and through; false when something in it cannot be made immutable. */
export function deepFreeze(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function'
  if (Object.isFrozen(value) && depth > 0 && !Array.isArray(value) && Object.keys(value).length === 0)
    return true
  if (depth > MAX_DEPTH) return false
  if (Array.isArray(value)) {
    for (const item of value) {
      if (typeof item === 'object' && item !== null && !deepFreeze(item, depth + 1)) return false
    }
  } else {
    const proto: unknown = Object.getPrototypeOf(value)
    if (proto !== Object.prototype && proto !== null) return false
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key]
      if (typeof item === 'object' && item !== null && !deepFreeze(item, depth + 1)) return false
    }
  }
  Object.freeze(value)
  return true
}

export function covers(entry: Entry, tags: readonly string[]): boolean {
  for (const tag of tags) if (!entry.tags.includes(tag)) return false
  return true
}

/** Early refresh: a share of the life has passed, or XFetch's dice (Vattani et al., 2015) say so. */
export function isDueEarly(entry: Entry, s: Settings, now: number, random: number): boolean {
  if (s.refreshAhead > 0) {
    const life = entry.freshUntil - entry.storedAt
    if (now - entry.storedAt >= s.refreshAhead * life) return true
  }
  // 1 - random is in (0, 1], so the logarithm is finite.
  return s.xfetch > 0 && now - entry.loadMs * s.xfetch * Math.log(1 - random) >= entry.freshUntil
}
