import type { HttpBody, HttpResponse } from './message.ts'

/** A body read into memory, or, where it is larger than that, as a stream of what was read and the rest. */
export type ReadBody =
  | { readonly bytes: Uint8Array | undefined; readonly rest?: undefined }
  | { readonly bytes?: undefined; readonly rest: AsyncIterable<Uint8Array> }

/** Reads up to `maxBytes`. Rejects with what the stream fails with. */
export async function readBody(body: HttpBody, maxBytes: number): Promise<ReadBody> {
  if (body === undefined || body === null) return { bytes: undefined }
  if (typeof body === 'string') return { bytes: Buffer.from(body) }
  if (body instanceof Uint8Array) return { bytes: body }
  const source = body[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await source.next()
    if (done) return { bytes: Buffer.concat(chunks, size) }
    const chunk = typeof value === 'string' ? Buffer.from(value) : value
    chunks.push(chunk)
    size += chunk.length
    if (size > maxBytes) return { rest: goOn(chunks, source) }
  }
}

async function* goOn(
  read: readonly Uint8Array[],
  source: AsyncIterator<Uint8Array | string>,
): AsyncIterable<Uint8Array> {
  try {
    yield* read
    for (;;) {
      const { done, value } = await source.next()
      if (done) return
      yield typeof value === 'string' ? Buffer.from(value) : value
    }
  } finally {
    await source.return?.()
  }
}

/** Header lines of a response in whatever form it has them, as name and value. */
export function* headerLines(headers: HttpResponse['headers']): Iterable<readonly [string, string]> {
  if (Array.isArray(headers)) {
    // Flat, as Node's rawHeaders; or pairs, as an iterable that happens to be an array.
    if (headers.length > 0 && typeof headers[0] !== 'string') {
      yield* headers as readonly (readonly [string, string])[]
      return
    }
    for (let at = 0; at + 1 < headers.length; at += 2) {
      yield [String(headers[at]), String(headers[at + 1])]
    }
    return
  }
  if (Symbol.iterator in headers) {
    yield* headers as Iterable<readonly [string, string]>
    return
  }
  for (const [name, value] of Object.entries(headers)) {
    if (Array.isArray(value)) for (const one of value) yield [name, String(one)]
    else if (value !== undefined) yield [name, String(value)]
  }
}
