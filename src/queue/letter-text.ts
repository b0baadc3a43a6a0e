import type { Letter } from './backend.ts'
import type { DeadLetter } from './options.ts'
import type { StoredMessage } from './parcel-text.ts'

interface LetterBody {
  readonly message: StoredMessage
  readonly attempts: number
  readonly reason: string
}

export function letterOf(
  message: StoredMessage,
  partition: number,
  attempts: number,
  reason: string,
  diedAt: number,
): Letter {
  const body: LetterBody = { message, attempts, reason }
  return { id: message.i, partition, text: JSON.stringify(body), diedAt }
}

export function readLetter<T>(letter: Letter): DeadLetter<T> {
  const { message, attempts, reason } = bodyOf(letter)
  // What was stored passed the queue's schema when it was added.
  const body = message.d as T
  return { id: message.i, key: message.k, body, at: message.t, diedAt: letter.diedAt, attempts, reason }
}

export const messageOf = (letter: Letter): StoredMessage => bodyOf(letter).message

const bodyOf = (letter: Letter): LetterBody => JSON.parse(letter.text) as LetterBody
