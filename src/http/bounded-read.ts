import type { OutboundReply, ReplyReader } from './outbound-request.ts'

/** A body read to its end, or the part that was read of one that is too large, with the rest. */
export type BoundedRead =
  | { readonly bytes: Buffer }
  | { readonly read: readonly Uint8Array[]; readonly rest: ReplyReader }

/** @throws what the reader throws: the connection broke before the end */
export async function readBounded(reply: OutboundReply, limit: number): Promise<BoundedRead> {
  if (reply.body === null) return { bytes: Buffer.alloc(0) }
  const reader = reply.body.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  if (Number(reply.headers.get('content-length') ?? 0) > limit) return { read: chunks, rest: reader }
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return { bytes: Buffer.concat(chunks) }
    if (value === undefined) continue
    chunks.push(value)
    size += value.length
    if (size > limit) return { read: chunks, rest: reader }
  }
}

/** What was read already, then the rest as it comes. */
export function resumed(read: readonly Uint8Array[], rest: ReplyReader): ReadableStream<Uint8Array> {
  const first = [...read]
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = first.shift()
      if (chunk !== undefined) return controller.enqueue(chunk)
      const { done, value } = await rest.read()
      if (done) controller.close()
      else if (value !== undefined) controller.enqueue(value)
    },
    cancel: async (reason) => {
      await rest.cancel(reason)
    },
  })
}
