/**
 * Values of Next.js as JSON: bytes and Maps (RSC payloads, segment data) inside plain data. Unpacked
 * anew for each reader, for Next.js changes what it gets.
 */
const BYTES = '$bytes'
const MAP = '$map'
const ESCAPED = '$plain'

export function pack(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return { [BYTES]: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  }
  if (value instanceof Map) return { [MAP]: [...value].map(([key, item]) => [pack(key), pack(item)]) }
  if (Array.isArray(value)) return value.map(pack)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined && typeof item !== 'function')
  const packed = Object.fromEntries(entries.map(([name, item]) => [name, pack(item)]))
  // Data of the application that looks like one of ours.
  return BYTES in packed || MAP in packed || ESCAPED in packed ? { [ESCAPED]: packed } : packed
}

export function unpack(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpack)
  if (typeof value !== 'object' || value === null) return value
  if (BYTES in value && typeof value[BYTES] === 'string') return Buffer.from(value[BYTES], 'base64')
  if (MAP in value && Array.isArray(value[MAP])) {
    return new Map(value[MAP].map((pair: unknown) => unpack(pair) as [unknown, unknown]))
  }
  const plain = ESCAPED in value && typeof value[ESCAPED] === 'object' ? (value[ESCAPED] ?? {}) : value
  return Object.fromEntries(Object.entries(plain).map(([name, item]) => [name, unpack(item)]))
}
