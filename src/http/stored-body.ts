import { isUtf8 } from 'node:buffer'

/** Bytes of a body in a form that JSON holds exactly: as text where they are text, else as base64. */
export interface StoredBody {
  readonly body: string
  readonly base64?: true
}

export function packBody(bytes: Buffer): StoredBody {
  if (isUtf8(bytes)) return { body: bytes.toString('utf8') }
  return { body: bytes.toString('base64'), base64: true }
}

export function unpackBody(stored: StoredBody): Buffer {
  return Buffer.from(stored.body, stored.base64 ? 'base64' : 'utf8')
}
