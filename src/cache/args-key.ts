import { InvalidKey } from '../base/errors.ts'

/**
 * A key from a prefix and arguments. One text or number stands as it is (`task:7`; the number 7 and
 * the text '7' are one key); anything else becomes JSON with sorted property names, so that equal
 * arguments give equal keys and different ones different keys.
 * @throws InvalidKey for a function, symbol, class instance or circular argument
 */
export function argsKey(prefix: string, args: readonly unknown[]): string {
  let length = args.length
  while (length > 0 && args[length - 1] === undefined) length--
  if (length === 0) return prefix
  const [only] = args
  if (
    length === 1 &&
    (typeof only === 'number' || (typeof only === 'string' && only !== '' && only[0] !== '['))
  ) {
    return `${prefix}:${only}`
  }
  return `${prefix}:[${args
    .slice(0, length)
    .map((arg) => canonical(arg, 0))
    .join(',')}]`
}

function canonical(value: unknown, depth: number): string {
  if (depth > 16) throw refuse('is nested too deep or contains itself')
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      // NaN and Infinity are legal here: a key only has to tell them apart.
      return String(value)
    case 'bigint':
      return `${value}n`
    case 'undefined':
      return 'undefined'
    case 'object':
      break
    default:
      throw refuse(`is a ${typeof value}`)
  }
  if (value === null) return 'null'
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth + 1)).join(',')}]`
  if (value instanceof Date) return `Date(${value.getTime()})`
  const proto: unknown = Object.getPrototypeOf(value)
  if (proto !== Object.prototype && proto !== null) throw refuse('is a class instance')
  const record = value as Record<string, unknown>
  const pairs = Object.keys(record)
    .sort()
    .filter((key) => record[key] !== undefined)
    .map((key) => `${JSON.stringify(key)}:${canonical(record[key], depth + 1)}`)
  return `{${pairs.join(',')}}`
}

function refuse(what: string): InvalidKey {
  return new InvalidKey(`an argument ${what}, so no key can be made from it`, 'give a key function')
}
