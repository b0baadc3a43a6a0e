import type { Stamp } from '../store.ts'

/** One invalidation on the stream of its bucket. */
export interface InvalidationMessage {
  readonly stamp: Stamp
  /** Process that asked for it, and the id under which it waits for confirmation. */
  readonly origin: string
  readonly ack: string | undefined
  readonly keys: readonly string[]
  readonly tags: readonly string[]
  readonly soft: boolean
  readonly all: boolean
  readonly pattern: string | undefined
}

/** Above this many names a message says "all" instead: other processes drop the bucket's copies. */
const NAMES_PER_MESSAGE = 200

/** The script puts `epoch:seq:` before it, so that position and content are one atomic message. */
export function encodeMessage(message: Omit<InvalidationMessage, 'stamp'>): string {
  const many = message.keys.length + message.tags.length > NAMES_PER_MESSAGE
  return JSON.stringify({
    o: message.origin,
    a: message.ack,
    k: many || message.keys.length === 0 ? undefined : message.keys,
    t: many || message.tags.length === 0 ? undefined : message.tags,
    s: message.soft && !many ? 1 : undefined,
    c: message.all || many ? 1 : undefined,
    p: message.pattern,
  })
}

/** Undefined when it cannot be understood: the stream is then not to be trusted. */
export function parseMessage(text: string): InvalidationMessage | undefined {
  const colon = text.indexOf(':')
  const second = text.indexOf(':', colon + 1)
  if (colon < 1 || second < 0) return undefined
  const seq = Number(text.slice(colon + 1, second))
  try {
    const body = JSON.parse(text.slice(second + 1))
    return {
      stamp: { epoch: text.slice(0, colon), seq },
      origin: String(body.o),
      ack: typeof body.a === 'string' ? body.a : undefined,
      keys: Array.isArray(body.k) ? body.k : [],
      tags: Array.isArray(body.t) ? body.t : [],
      soft: body.s === 1,
      all: body.c === 1,
      pattern: typeof body.p === 'string' ? body.p : undefined,
    }
  } catch {
    return undefined
  }
}
