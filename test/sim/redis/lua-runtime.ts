import { jsonLibrary } from './lua-json.ts'
import { stringLibrary } from './lua-string.ts'
import { structLibrary } from './lua-struct.ts'
import { LuaError, LuaTable, Multi, toNumber, toText } from './lua-value.ts'

export { LuaError, LuaTable } from './lua-value.ts'

type LuaFunction = (...args: unknown[]) => unknown

const describe = (value: unknown): string =>
  value === undefined
    ? 'nil'
    : value instanceof LuaTable
      ? 'table'
      : typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string'
        ? typeof value
        : 'function'

function num(value: unknown): number {
  if (typeof value === 'number') return value
  const n = toNumber(value)
  if (n === undefined) throw new LuaError(`attempt to perform arithmetic on a ${describe(value)} value`)
  return n
}

function orders(a: unknown, b: unknown): void {
  const [left, right] = [typeof a, typeof b]
  if (left === right && (left === 'number' || left === 'string')) return
  throw new LuaError(`attempt to compare ${describe(a)} with ${describe(b)}`)
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return toText(value)
  throw new LuaError(`attempt to concatenate a ${describe(value)} value`)
}

function callable(value: unknown): LuaFunction {
  if (typeof value !== 'function') throw new LuaError(`attempt to call a ${describe(value)} value`)
  return value as LuaFunction
}

function asTable(value: unknown, what: string): LuaTable {
  if (!(value instanceof LuaTable))
    throw new LuaError(`bad argument to '${what}' (table expected, got ${describe(value)})`)
  return value
}

const list = (value: unknown): readonly unknown[] => (value instanceof Multi ? value.values : [value])
const first = (value: unknown): unknown => (value instanceof Multi ? value.values[0] : value)
const truth = (value: unknown): boolean => value !== undefined && value !== false

const next: LuaFunction = (table, key) => {
  const entry = asTable(table, 'next').next(key)
  return entry ? new Multi(entry) : undefined
}

const step: LuaFunction = (table, i) => {
  const at = (i as number) + 1
  const value = asTable(table, 'ipairs').get(at)
  return value === undefined ? undefined : new Multi([at, value])
}

function* iterate(source: Multi): Generator<readonly unknown[]> {
  const [iterator, state, start] = source.values
  if (iterator === next && start === undefined) {
    yield* asTable(state, 'pairs').entries()
    return
  }
  const run = callable(iterator)
  for (let control = start; ; ) {
    const values = list(run(state, control))
    control = values[0]
    if (control === undefined) return
    yield values
  }
}

const tableLibrary: Record<string, LuaFunction> = {
  insert(table, ...rest) {
    const t = asTable(table, 'insert')
    if (rest.length === 1) t.set(t.length + 1, rest[0])
    else {
      const at = num(rest[0])
      for (let i = t.length; i >= at; i--) t.set(i + 1, t.get(i))
      t.set(at, rest[1])
    }
    return undefined
  },
  remove(table, position) {
    const t = asTable(table, 'remove')
    const size = t.length
    const at = position === undefined ? size : num(position)
    if (size === 0) return undefined
    const removed = t.get(at)
    for (let i = at; i < size; i++) t.set(i, t.get(i + 1))
    t.set(size, undefined)
    return removed
  },
  concat(table, separator = '', from = 1, to = undefined) {
    const t = asTable(table, 'concat')
    const parts: string[] = []
    for (let i = num(from); i <= (to === undefined ? t.length : num(to)); i++) parts.push(text(t.get(i)))
    return parts.join(text(separator))
  },
  sort(table, order) {
    const t = asTable(table, 'sort')
    const before = order === undefined ? (a: unknown, b: unknown) => runtime.lt(a, b) : callable(order)
    const values = Array.from({ length: t.length }, (_, i) => t.get(i + 1))
    values.sort((a, b) => (truth(first(before(a, b))) ? -1 : truth(first(before(b, a))) ? 1 : 0))
    for (const [i, value] of values.entries()) t.set(i + 1, value)
    return undefined
  },
  getn: (table) => asTable(table, 'getn').length,
}

const mathLibrary: Record<string, unknown> = {
  floor: (x: unknown) => Math.floor(num(x)),
  ceil: (x: unknown) => Math.ceil(num(x)),
  abs: (x: unknown) => Math.abs(num(x)),
  sqrt: (x: unknown) => Math.sqrt(num(x)),
  pow: (x: unknown, y: unknown) => num(x) ** num(y),
  fmod: (x: unknown, y: unknown) => num(x) % num(y),
  log: (x: unknown) => Math.log(num(x)),
  exp: (x: unknown) => Math.exp(num(x)),
  max: (...values: unknown[]) => Math.max(...values.map(num)),
  min: (...values: unknown[]) => Math.min(...values.map(num)),
  modf: (x: unknown) => new Multi([Math.trunc(num(x)), num(x) - Math.trunc(num(x))]),
  huge: Number.POSITIVE_INFINITY,
  pi: Math.PI,
}

const unpack: LuaFunction = (table, from = 1, to = undefined) => {
  const t = asTable(table, 'unpack')
  const values: unknown[] = []
  for (let i = num(from); i <= (to === undefined ? t.length : num(to)); i++) values.push(t.get(i))
  return new Multi(values)
}

const globals: Record<string, unknown> = {
  type: describe,
  tostring: (value: unknown) =>
    typeof value === 'string'
      ? value
      : typeof value === 'number'
        ? toText(value)
        : value === undefined
          ? 'nil'
          : String(value),
  tonumber: (value: unknown, base?: unknown) => {
    if (base === undefined || base === 10) return toNumber(value)
    const digits = text(value).trim().toLowerCase()
    const n = Number.parseInt(digits, num(base))
    return /^-?[0-9a-z]+$/.test(digits) && !Number.isNaN(n) ? n : undefined
  },
  next,
  pairs: (table: unknown) => new Multi([next, asTable(table, 'pairs'), undefined]),
  ipairs: (table: unknown) => new Multi([step, asTable(table, 'ipairs'), 0]),
  unpack,
  rawget: (table: unknown, key: unknown) => asTable(table, 'rawget').get(key),
  rawset: (table: unknown, key: unknown, value: unknown) => {
    asTable(table, 'rawset').set(key, value)
    return table
  },
  rawequal: (a: unknown, b: unknown) => a === b,
  select: (n: unknown, ...values: unknown[]) =>
    n === '#' ? values.length : new Multi(values.slice(num(n) - 1)),
  error: (value: unknown) => {
    throw new LuaError(typeof value === 'string' ? value : 'error', value)
  },
  assert: (...values: unknown[]) => {
    if (!truth(values[0]))
      throw new LuaError(typeof values[1] === 'string' ? values[1] : 'assertion failed!', values[1])
    return new Multi(values)
  },
  pcall: (run: unknown, ...args: unknown[]) => {
    try {
      return new Multi([true, ...list(callable(run)(...args))])
    } catch (error) {
      if (!(error instanceof LuaError)) throw error
      return new Multi([false, error.value ?? error.message])
    }
  },
  string: LuaTable.fromObject(stringLibrary),
  table: LuaTable.fromObject({ ...tableLibrary, unpack }),
  math: LuaTable.fromObject(mathLibrary),
  cjson: LuaTable.fromObject(jsonLibrary),
  struct: LuaTable.fromObject(structLibrary),
}

const strings = globals.string as LuaTable

/** What compiled chunks call. */
export const runtime = {
  num,
  list,
  first,
  truth,
  iterate,
  multi: (...values: unknown[]) => new Multi(values),
  table(items: unknown[], fields?: readonly (readonly [unknown, unknown])[]): LuaTable {
    const table = new LuaTable(items)
    if (fields) for (const [key, value] of fields) table.set(key, value)
    return table
  },
  global(name: string): unknown {
    const value = globals[name]
    if (value === undefined)
      throw new LuaError(`Script attempted to access nonexistent global variable '${name}'`)
    return value
  },
  index(base: unknown, key: unknown): unknown {
    if (base instanceof LuaTable) return base.get(key)
    if (typeof base === 'string') return strings.get(key)
    throw new LuaError(`attempt to index a ${describe(base)} value (key '${String(key)}')`)
  },
  setIndex(base: unknown, key: unknown, value: unknown): void {
    if (!(base instanceof LuaTable)) throw new LuaError(`attempt to index a ${describe(base)} value`)
    base.set(key, value)
  },
  call: (run: unknown, ...args: unknown[]): unknown => callable(run)(...args),
  concat: (a: unknown, b: unknown): string => text(a) + text(b),
  len(value: unknown): number {
    if (typeof value === 'string') return value.length
    if (value instanceof LuaTable) return value.length
    throw new LuaError(`attempt to get length of a ${describe(value)} value`)
  },
  add: (a: unknown, b: unknown): number => num(a) + num(b),
  sub: (a: unknown, b: unknown): number => num(a) - num(b),
  mul: (a: unknown, b: unknown): number => num(a) * num(b),
  div: (a: unknown, b: unknown): number => num(a) / num(b),
  mod(a: unknown, b: unknown): number {
    const [x, y] = [num(a), num(b)]
    return x - Math.floor(x / y) * y
  },
  pow: (a: unknown, b: unknown): number => num(a) ** num(b),
  lt(a: unknown, b: unknown): boolean {
    orders(a, b)
    return (a as number) < (b as number)
  },
  le(a: unknown, b: unknown): boolean {
    orders(a, b)
    return (a as number) <= (b as number)
  },
  gt: (a: unknown, b: unknown): boolean => runtime.lt(b, a),
  ge: (a: unknown, b: unknown): boolean => runtime.le(b, a),
}
