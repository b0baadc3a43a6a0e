import { InvalidValue } from '../base/errors.ts'

/** Deepest nesting that is stored or read. */
export const MAX_DEPTH = 64

/**
 * `JSON.stringify` that refuses what JSON would silently lose: functions, symbols, NaN, cycles,
 * `undefined` inside arrays, and objects such as Map, Set, Error or Promise that would become `{}`.
 * `toJSON` (Date, URL …) is honoured as JSON does; properties that are `undefined` are left out.
 * @throws InvalidValue naming the path, never the value
 */
export function writeJson(value: unknown, allowBigint: boolean): { text: string; hasBigint: boolean } {
  const check = new Check(allowBigint)
  check.visit(value, 0)
  return check.hasBigint
    ? { text: JSON.stringify(tagBigints(value)), hasBigint: true }
    : { text: JSON.stringify(value), hasBigint: false }
}

/** @throws when the text is no JSON or is nested too deep */
export function readJson(text: string, hasBigint: boolean): unknown {
  const value = parse(text)
  if (value === null || typeof value !== 'object') return value
  // The names need to be there, as they are or with an escape, and nesting past the bound needs as
  // many opening brackets. So nearly every text is spared a second walk.
  const suspect = text.includes('proto') || text.includes('constructor') || text.includes('\\u00')
  if (suspect || opensMoreThan(text, MAX_DEPTH)) clean(value, 1)
  return hasBigint ? untagBigints(value) : value
}

function opensMoreThan(text: string, limit: number): boolean {
  if (text.length <= 2 * limit) return false
  let count = 0
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1)) {
      if (++count > limit) return true
    }
  }
  return false
}

/** The parser's own message quotes the text, which may be anybody's secret. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the text is not JSON')
  }
}

/** Drops the own keys that turn a careless merge into prototype pollution, and bounds the depth. */
export function clean(value: object, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error('nested too deep')
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) clean(item, depth + 1)
    return
  }
  const record = value as Record<string, unknown>
  for (const key of Object.keys(record)) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') delete record[key]
    else {
      const item = record[key]
      if (typeof item === 'object' && item !== null) clean(item, depth + 1)
    }
  }
}

class Check {
  hasBigint = false
  readonly #allowBigint: boolean
  readonly #path: (string | number)[] = []

  constructor(allowBigint: boolean) {
    this.#allowBigint = allowBigint
  }

  visit(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return
      case 'number':
        if (!Number.isFinite(value)) throw this.#refuse('is NaN or infinite', 'store null or a text instead')
        return
      case 'bigint':
        if (!this.#allowBigint) throw this.#refuse('is a BigInt', 'set bigint: true, or convert it')
        this.hasBigint = true
        return
      case 'undefined':
        throw this.#refuse('is undefined where JSON has no word for it', 'store null instead')
      case 'object':
        if (value !== null) this.#visitObject(value, depth)
        return
      default:
        throw this.#refuse(`is a ${typeof value}`, 'store data only')
    }
  }

  #visitObject(value: object, depth: number): void {
    if (depth >= MAX_DEPTH) {
      throw this.#refuse(`is nested deeper than ${MAX_DEPTH} levels or contains itself`, 'flatten it')
    }
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) this.#step(i, value[i], depth)
      return
    }
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      if (value instanceof Date && Number.isNaN(value.getTime())) {
        throw this.#refuse('is an invalid Date', 'store null instead')
      }
      if (!(value instanceof Date)) this.visit(value.toJSON(this.#path.at(-1) ?? ''), depth + 1)
      return
    }
    const keys = Object.keys(value)
    if (keys.length === 0 || ArrayBuffer.isView(value)) this.#refuseExotic(value)
    for (const key of keys) {
      const item = (value as Record<string, unknown>)[key]
      if (item !== undefined) this.#step(key, item, depth)
    }
  }

  #step(key: string | number, item: unknown, depth: number): void {
    if (typeof item === 'string' || typeof item === 'boolean' || item === null) return
    this.#path.push(key)
    this.visit(item, depth + 1)
    this.#path.pop()
  }

  /** An object without enumerable properties is fine only if it is a plain one. */
  #refuseExotic(value: object): void {
    const proto: unknown = Object.getPrototypeOf(value)
    if (proto === Object.prototype || proto === null) return
    const name = value.constructor?.name || 'class instance'
    const hint = name === 'Promise' ? 'await it first' : 'convert it to plain data, or use codec: v8'
    throw this.#refuse(`is a ${name}, which JSON cannot hold`, hint)
  }

  #refuse(what: string, mend: string): InvalidValue {
    const path = this.#path
      .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part.slice(0, 60)}`))
      .join('')
    return new InvalidValue(`the value${path ? ` at ${path.slice(0, 200)}` : ''} ${what}`, mend)
  }
}

// A BigInt is written {"$b":"123"}; a user's own key of that shape gets one more $ in front, so
// nothing that the user stores can be mistaken for one.
const BIGINT_KEY = '$b'
const LOOKS_TAGGED = /^\$+b$/
const WAS_ESCAPED = /^\$\$+b$/

function tagBigints(value: unknown): unknown {
  if (typeof value === 'bigint') return { [BIGINT_KEY]: value.toString() }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(tagBigints)
  if ('toJSON' in value && typeof value.toJSON === 'function') return tagBigints(value.toJSON(''))
  return mapEntries(value, (key) => (LOOKS_TAGGED.test(key) ? `$${key}` : key), tagBigints)
}

function untagBigints(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(untagBigints)
  const tagged = (value as Record<string, unknown>)[BIGINT_KEY]
  if (typeof tagged === 'string') return BigInt(tagged)
  return mapEntries(value, (key) => (WAS_ESCAPED.test(key) ? key.slice(1) : key), untagBigints)
}

function mapEntries(value: object, key: (key: string) => string, item: (item: unknown) => unknown): object {
  const out: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    // Assigning to `__proto__` would set the prototype; such keys are dropped on read anyway.
    if (name !== '__proto__') out[key(name)] = item(inner)
  }
  return out
}
