/** What a session's data is charged: its field names and texts in bytes. */
export function sizeOf(fields: ReadonlyMap<string, string>): number {
  let bytes = 0
  for (const [name, text] of fields) bytes += 1 + Buffer.byteLength(name) + Buffer.byteLength(text)
  return bytes
}
