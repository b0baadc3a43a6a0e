/** One message inside a parcel's text. Short names: they are stored once per message. */
export interface StoredMessage {
  /** Id. */
  readonly i: string
  /** Ordering key. */
  readonly k?: string
  /** Coalescing key. */
  readonly c?: string
  /** Wall clock of the add. */
  readonly t: number
  /** 1 where the id is the caller's: two with the same one are one. */
  readonly u?: 1
  /** Body. */
  readonly d?: unknown
  /** Never stored: why it cannot be handled. */
  readonly x?: string
}

/** The JSON of one message around the JSON of its body, which is not parsed for it. */
export function messageText(head: Omit<StoredMessage, 'd' | 'x'>, body: string | undefined): string {
  const { i, k, c, t, u } = head
  const key = k === undefined ? '' : `,"k":${JSON.stringify(k)}`
  const coalesce = c === undefined ? '' : `,"c":${JSON.stringify(c)}`
  const own = u ? ',"u":1' : ''
  // `undefined` has no JSON: the field is left out, and reading gives it back.
  return `{"i":${JSON.stringify(i)}${key}${coalesce},"t":${t}${own}${body === undefined ? '' : `,"d":${body}`}}`
}

export const parcelText = (messages: readonly string[]): string => `{"messages":[${messages.join(',')}]}`

/** The messages of a parcel; `undefined` when the text is none of ours. */
export function readParcel(text: string): readonly StoredMessage[] | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  const messages = (parsed as { messages?: unknown } | null)?.messages
  return Array.isArray(messages) && messages.every(isMessage) ? messages : undefined
}

function isMessage(value: unknown): value is StoredMessage {
  const it = value as Partial<StoredMessage> | null
  return typeof it === 'object' && it !== null && typeof it.i === 'string' && typeof it.t === 'number'
}
