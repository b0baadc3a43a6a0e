import type { HeaderRecord, HeadersLike, RawHeaders } from './message.ts'

/** A field of a request; several lines joined as RFC 9110, 5.3 allows. */
export function requestField(headers: HeaderRecord, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' || value === undefined ? value : value.join(', ')
}

/** Names and values in turn, whatever form they came in. */
export function toRaw(headers: HeadersLike): string[] {
  const raw: string[] = []
  if (Array.isArray(headers) && (headers.length === 0 || typeof headers[0] === 'string')) {
    // A name without a value would shift everything that is put behind it.
    return headers.slice(0, headers.length - (headers.length % 2)) as string[]
  }
  if (Symbol.iterator in headers) {
    for (const [name, value] of headers as Iterable<readonly [string, string]>) raw.push(name, String(value))
    return raw
  }
  for (const [name, value] of Object.entries(headers)) {
    if (Array.isArray(value)) for (const one of value as readonly string[]) raw.push(name, String(one))
    else if (value !== undefined) raw.push(name, String(value))
  }
  return raw
}

/** Fields of a response by lower-case name. */
export class Fields {
  readonly raw: RawHeaders
  readonly #lines = new Map<string, string[]>()

  constructor(raw: RawHeaders) {
    this.raw = raw
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i]!.toLowerCase()
      const known = this.#lines.get(name)
      if (known) known.push(raw[i + 1]!)
      else this.#lines.set(name, [raw[i + 1]!])
    }
  }

  has(name: string): boolean {
    return this.#lines.has(name)
  }

  lines(name: string): readonly string[] {
    return this.#lines.get(name) ?? []
  }

  /** All lines as one value. */
  get(name: string): string | undefined {
    const lines = this.#lines.get(name)
    return lines === undefined ? undefined : lines.length === 1 ? lines[0] : lines.join(', ')
  }

  names(): Iterable<string> {
    return this.#lines.keys()
  }
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/

/** Whether Node would send these fields: what it would refuse must not be stored either. */
export function isSendable(raw: RawHeaders): boolean {
  for (let i = 0; i < raw.length; i += 2) {
    if (!TOKEN.test(raw[i]!) || UNSENDABLE.test(raw[i + 1]!)) return false
  }
  return true
}

/** The elements of a comma-separated list, trimmed, empty ones left out. Commas in quotes stay. */
export function listOf(value: string | undefined): string[] {
  if (value === undefined) return []
  if (!value.includes('"')) {
    return value
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
  }
  const out: string[] = []
  let from = 0
  let quoted = false
  for (let i = 0; i <= value.length; i++) {
    const char = value[i]
    if (quoted && char === '\\') i++
    else if (char === '"') quoted = !quoted
    else if (char === undefined || (char === ',' && !quoted)) {
      const one = value.slice(from, i).trim()
      if (one !== '') out.push(one)
      from = i + 1
    }
  }
  // An open quote swallows the rest: that rest is one element, not none.
  if (from < value.length && quoted) {
    const one = value.slice(from).trim()
    if (one !== '' && out.at(-1) !== one) out.push(one)
  }
  return out
}
