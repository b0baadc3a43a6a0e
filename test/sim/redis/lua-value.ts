/** Values of the Lua in `lua-compile.ts`. */
export class LuaError extends Error {
  readonly value: unknown
  constructor(message: string, value?: unknown) {
    super(message)
    this.value = value
  }
}

/** Several values in one place: the arguments of `return a, b`. */
export class Multi {
  readonly values: readonly unknown[]
  constructor(values: readonly unknown[]) {
    this.values = values
  }
}

/** An array part for 1..n and a map for the rest; iterates in order of insertion. */
export class LuaTable {
  readonly #items: unknown[]
  #fields: Map<unknown, unknown> | undefined

  constructor(items: unknown[] = []) {
    while (items.length && items[items.length - 1] === undefined) items.pop()
    this.#items = items
  }

  static fromObject(fields: Record<string, unknown>): LuaTable {
    const table = new LuaTable()
    for (const [key, value] of Object.entries(fields)) table.set(key, value)
    return table
  }

  get length(): number {
    return this.#items.length
  }

  get(key: unknown): unknown {
    if (typeof key === 'number' && key >= 1 && key <= this.#items.length && Number.isInteger(key)) {
      return this.#items[key - 1]
    }
    return this.#fields?.get(key)
  }

  set(key: unknown, value: unknown): void {
    if (key === undefined) throw new LuaError('table index is nil')
    const items = this.#items
    if (typeof key === 'number' && Number.isInteger(key) && key >= 1 && key <= items.length + 1) {
      if (key <= items.length) {
        items[key - 1] = value
        while (items.length && items[items.length - 1] === undefined) items.pop()
        return
      }
      if (value !== undefined) {
        items.push(value)
        this.#fields?.delete(key)
        while (this.#fields?.has(items.length + 1)) {
          const at = items.length + 1
          items.push(this.#fields.get(at))
          this.#fields.delete(at)
        }
        return
      }
    }
    if (value === undefined) this.#fields?.delete(key)
    else {
      this.#fields ??= new Map()
      this.#fields.set(key, value)
    }
  }

  *entries(): Generator<[unknown, unknown]> {
    for (let i = 0; i < this.#items.length; i++) {
      if (this.#items[i] !== undefined) yield [i + 1, this.#items[i]]
    }
    if (this.#fields) yield* this.#fields
  }

  next(key: unknown): [unknown, unknown] | undefined {
    let found = key === undefined
    for (const entry of this.entries()) {
      if (found) return entry
      found = entry[0] === key
    }
    return undefined
  }
}

/** Lua's `tonumber`: decimal, exponent and hex forms with blanks around. */
export function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value !== 'string') return undefined
  if (!/^\s*[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|0[xX][\da-fA-F]+)\s*$/.test(value))
    return undefined
  const trimmed = value.trim()
  return trimmed[0] === '-'
    ? -Number(trimmed.slice(1))
    : Number(trimmed[0] === '+' ? trimmed.slice(1) : trimmed)
}

/** A number as text the way Lua 5.1 prints it: %.14g. */
export function toText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e14) return Object.is(value, -0) ? '-0' : String(value)
  return formatG(value, 14, false)
}

/** C's %g. */
export function formatG(value: number, precision: number, alternate: boolean): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  const digits = precision || 1
  const [mantissa, power] = value.toExponential(digits - 1).split('e') as [string, string]
  const exponent = Number(power)
  const strip = (text: string) => (alternate || !text.includes('.') ? text : text.replace(/\.?0+$/, ''))
  if (exponent < -4 || exponent >= digits) {
    const size = String(Math.abs(exponent)).padStart(2, '0')
    return `${strip(mantissa)}e${exponent < 0 ? '-' : '+'}${size}`
  }
  return strip(value.toFixed(Math.max(0, digits - 1 - exponent)))
}
