import { LuaError, LuaTable } from './lua-value.ts'

/** cjson's `null`, a light userdata there. */
const NULL = Symbol('cjson.null')

function encode(value: unknown): string {
  if (value === undefined || value === NULL) return 'null'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return String(Number(value.toPrecision(14)))
  if (typeof value === 'string')
    return JSON.stringify(value).replaceAll('/', '\\/').replaceAll('\x7f', '\\u007f')
  if (!(value instanceof LuaTable)) throw new LuaError('Cannot serialise function: type not supported')
  const entries = [...value.entries()]
  if (entries.length > 0 && entries.length === value.length)
    return `[${entries.map(([, v]) => encode(v)).join(',')}]`
  return `{${entries.map(([k, v]) => `${encode(String(k))}:${encode(v)}`).join(',')}}`
}

function decode(value: unknown): unknown {
  if (value === null) return NULL
  if (typeof value === 'string') return Buffer.from(value, 'utf8').toString('latin1')
  if (Array.isArray(value)) return new LuaTable(value.map(decode))
  if (typeof value !== 'object') return value
  const table = new LuaTable()
  for (const [key, item] of Object.entries(value)) table.set(decode(key), decode(item))
  return table
}

export const jsonLibrary: Record<string, unknown> = {
  null: NULL,
  encode,
  decode(text: unknown) {
    try {
      return decode(JSON.parse(Buffer.from(String(text), 'latin1').toString('utf8')))
    } catch {
      throw new LuaError('Expected value but found invalid token at character 1')
    }
  },
}
