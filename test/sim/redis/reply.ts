/** A status line such as `+OK`. */
export class Status {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** An error reply; thrown by commands, carried by links. */
export class ServerError extends Error {}

/** A reply before it is put on the wire; bulk strings hold one character per byte. */
export type ServerReply = string | number | null | Status | ServerError | ServerReply[]

export const OK = new Status('OK')

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII needs no conversion
const ASCII = /^[\x00-\x7f]*$/

export function toBytes(arg: string | Buffer): string {
  if (typeof arg !== 'string') return arg.toString('latin1')
  return ASCII.test(arg) ? arg : Buffer.from(arg, 'utf8').toString('latin1')
}

export function toText(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8')
}
