import { InvalidOption } from '../base/errors.ts'

/** What a route asks for. */
export type Permission =
  | 'stats'
  | 'cache.clear'
  | 'cache.list'
  | 'cache.read'
  | 'cache.reveal'
  | 'health'
  | 'audit'

/** The editions of the product are three roles over this table; nothing else knows them. */
export const EDITIONS = {
  /** Uses the application; administers nothing. */
  community: [],
  /** Operates it: sees figures, clears what is wrong, reads no data. */
  business: ['stats', 'health', 'cache.clear'],
  /** Answers for it: lists and reads, reveals what is redacted, and sees who did what. */
  enterprise: ['stats', 'health', 'cache.clear', 'cache.list', 'cache.read', 'cache.reveal', 'audit'],
} as const satisfies Readonly<Record<string, readonly Permission[]>>

/** A role: what a token or a JWT allows its bearer. */
export type Edition = keyof typeof EDITIONS

export function isEdition(word: unknown): word is Edition {
  return typeof word === 'string' && Object.hasOwn(EDITIONS, word)
}

export function allows(edition: Edition, permission: Permission): boolean {
  const granted: readonly Permission[] = EDITIONS[edition]
  return granted.includes(permission)
}

/** @throws InvalidOption */
export function checkEdition(word: unknown, where: string): Edition {
  if (isEdition(word)) return word
  throw new InvalidOption(
    `${where} names an edition that does not exist`,
    `write one of ${Object.keys(EDITIONS).join(', ')}`,
  )
}
