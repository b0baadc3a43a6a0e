const SECRET =
  /pass(?:word|wd|phrase)?$|secret|token|authorization|cookie|api[-_]?key|credential|private[-_]?key|^(?:phone|contact[-_]?number|email|card)/i
export const REDACTED = '[redacted]'
const DEEPEST = 32

/** A copy without what its names say is secret or personal. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEEPEST) return REDACTED
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  if (!isPlain(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      SECRET.test(name) && item !== null ? REDACTED : redact(item, depth + 1),
    ]),
  )
}

function isPlain(value: object): boolean {
  const proto: unknown = Object.getPrototypeOf(value)
  return proto === Object.prototype || proto === null
}
