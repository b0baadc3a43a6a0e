import { InvalidOption } from '../base/errors.ts'

/**
 * A name as SQL reads it, whatever is in it. A table may be written with its schema:
 * `public.messages`.
 */
export function quoteName(name: string, where: string): string {
  if (typeof name !== 'string' || name === '' || name.includes('\0') || Buffer.byteLength(name) > 63) {
    throw new InvalidOption(`${where} is no name of a table or column`, 'give 1 to 63 bytes')
  }
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteTable(table: string, where: string): string {
  const parts = typeof table === 'string' ? table.split('.') : []
  if (parts.length < 1 || parts.length > 2)
    throw new InvalidOption(`${where} is no name of a table`, "write 'table' or 'schema.table'")
  return parts.map((part) => quoteName(part, where)).join('.')
}

/** Words that may stand behind `::`: `text`, `timestamp with time zone`, `public.mood[]`, `"My type"`. */
const TYPE =
  /^(?:[a-z_][\w$]*|"(?:[^"]|"")+")(?:[ .](?:[a-z_][\w$]*|"(?:[^"]|"")+"))*(?:\(\d+(?:,\d+)?\))?(?:\[\])*$/i

export function checkType(type: string, where: string): string {
  if (TYPE.test(type)) return type
  throw new InvalidOption(`${where} is no name of a type`, "write it as after ::, e.g. 'timestamptz'")
}

/**
 * A value in the text form of its type; the database reads it from there. Values of `json` and
 * `jsonb` are written as JSON, arrays for array types as arrays, binary data as hex.
 */
export function sqlText(value: unknown, type: string): string | null {
  if (value === undefined || value === null) return null
  if (type === 'json' || type === 'jsonb') return JSON.stringify(value) ?? null
  if (Array.isArray(value) && type.endsWith('[]')) return arrayText(value, type.slice(0, -2))
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
  }
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  return JSON.stringify(value) ?? null
}

function arrayText(values: readonly unknown[], type: string): string {
  const items = values.map((value) => {
    if (Array.isArray(value)) return arrayText(value, type)
    const text = sqlText(value, type)
    return text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`
  })
  return `{${items.join(',')}}`
}
