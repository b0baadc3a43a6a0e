import { InvalidOption } from '../base/errors.ts'

/** What a route asks for. */
export type Permission =
  | 'me'
  | 'stats'
  | 'health'
  | 'doctor'
  | 'slowlog'
  | 'audit'
  | 'cache.clear'
  | 'cache.list'
  | 'cache.read'
  | 'cache.reveal'
  | 'limits.read'
  | 'limits.reset'
  | 'locks.read'
  | 'locks.release'
  | 'once.read'
  | 'once.resolve'
  | 'sessions.read'
  | 'sessions.revoke'
  | 'tokens.read'
  | 'tokens.drop'
  | 'queues.read'
  | 'queues.control'
  | 'letters.read'
  | 'letters.change'

/** Sees figures, clears what is wrong, holds a queue; reads nobody's data and takes nothing away. */
const OPERATE = [
  'me',
  'stats',
  'health',
  'doctor',
  'cache.clear',
  'queues.read',
  'queues.control',
] as const satisfies readonly Permission[]

/** Lists and reads, reveals what is redacted, takes away, and sees who did what. */
const ANSWER = [
  'slowlog',
  'audit',
  'cache.list',
  'cache.read',
  'cache.reveal',
  'limits.read',
  'limits.reset',
  'locks.read',
  'locks.release',
  'once.read',
  'once.resolve',
  'sessions.read',
  'sessions.revoke',
  'tokens.read',
  'tokens.drop',
  'letters.read',
  'letters.change',
] as const satisfies readonly Permission[]

/** The editions of the product are three roles over this table; nothing else knows them. */
export const EDITIONS = {
  /** Uses the application; administers nothing. */
  community: ['me'],
  /** Operates it. */
  business: OPERATE,
  /** Answers for it. */
  enterprise: [...OPERATE, ...ANSWER],
} as const satisfies Readonly<Record<string, readonly Permission[]>>

/** A role: see `EDITIONS`. */
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
