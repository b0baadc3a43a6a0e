import { LuaError, Multi, toNumber } from './lua-value.ts'

/** The part of Redis' `struct` library that packs integers, doubles and strings without padding. */
interface Field {
  readonly kind: string
  readonly size: number
  readonly little: boolean
}

const SIZES: Record<string, number> = {
  b: 1,
  B: 1,
  h: 2,
  H: 2,
  i: 4,
  I: 4,
  l: 8,
  L: 8,
  d: 8,
  f: 4,
  s: 0,
  c: 1,
  x: 1,
}

function fields(format: string): Field[] {
  let little = true
  return [...format.matchAll(/([<>=!]|[a-zA-Z])(\d*)/g)].flatMap(([, kind, digits]) => {
    if (kind === '<' || kind === '>') little = kind === '<'
    if (/[<>=!]/.test(kind!)) return []
    if (SIZES[kind!] === undefined) throw new LuaError(`invalid format option '${kind}'`)
    return [{ kind: kind!, size: digits ? Number(digits) : SIZES[kind!]!, little }]
  })
}

function packInteger(value: number, { size, little }: Field): string {
  const bytes: string[] = []
  let rest = BigInt.asUintN(size * 8, BigInt(Math.trunc(value)))
  for (let i = 0; i < size; i++) {
    bytes.push(String.fromCharCode(Number(rest & 0xffn)))
    rest >>= 8n
  }
  return (little ? bytes : bytes.reverse()).join('')
}

function unpackInteger(bytes: string, { kind, size, little }: Field): number {
  let value = 0n
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(bytes.charCodeAt(little ? size - 1 - i : i))
  return Number(/[bhil]/.test(kind) ? BigInt.asIntN(size * 8, value) : value)
}

function float(bytes: Buffer, field: Field): number {
  if (field.kind === 'd') return field.little ? bytes.readDoubleLE() : bytes.readDoubleBE()
  return field.little ? bytes.readFloatLE() : bytes.readFloatBE()
}

function packFloat(value: number, field: Field): string {
  const bytes = Buffer.alloc(field.size)
  if (field.kind === 'd') field.little ? bytes.writeDoubleLE(value) : bytes.writeDoubleBE(value)
  else field.little ? bytes.writeFloatLE(value) : bytes.writeFloatBE(value)
  return bytes.toString('latin1')
}

function number(value: unknown): number {
  const n = toNumber(value)
  if (n === undefined) throw new LuaError("bad argument to 'pack' (number expected)")
  return n
}

export const structLibrary: Record<string, unknown> = {
  pack(format: unknown, ...values: unknown[]) {
    let next = 0
    let out = ''
    for (const field of fields(String(format))) {
      if (field.kind === 'x') out += '\0'
      else if (field.kind === 's') out += `${String(values[next++])}\0`
      else if (field.kind === 'c') out += String(values[next++]).slice(0, field.size || undefined)
      else if (/[df]/.test(field.kind)) out += packFloat(number(values[next++]), field)
      else out += packInteger(number(values[next++]), field)
    }
    return out
  },
  unpack(format: unknown, data: unknown, position?: unknown) {
    const text = String(data)
    let at = position === undefined ? 0 : number(position) - 1
    const values: unknown[] = []
    for (const field of fields(String(format))) {
      const size = field.kind === 's' ? text.indexOf('\0', at) + 1 - at : field.size
      if (at + size > text.length || size < 0)
        throw new LuaError("bad argument to 'unpack' (data string too short)")
      const bytes = text.slice(at, at + size)
      at += size
      if (field.kind === 's') values.push(bytes.slice(0, -1))
      else if (field.kind === 'c') values.push(bytes)
      else if (/[df]/.test(field.kind)) values.push(float(Buffer.from(bytes, 'latin1'), field))
      else if (field.kind !== 'x') values.push(unpackInteger(bytes, field))
    }
    return new Multi([...values, at + 1])
  },
  size: (format: unknown) => fields(String(format)).reduce((sum, field) => sum + field.size, 0),
}
