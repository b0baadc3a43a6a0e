import { type HoldfastOptions, rolesOf } from '../options.ts'
import { type Access, type Plan, type RedisOptions, readOptions } from '../redis/options.ts'
import type { Role } from './evidence.ts'

/** What the configuration says of a server. Holds the password: never printed. */
export interface Source {
  readonly plan: Plan
  readonly access: Access
}

/**
 * Undefined where a client was passed instead of an address: then only the server can tell.
 * @throws ConfigError, InvalidOption
 */
export function sourceOf(redis: HoldfastOptions['redis'], role: Role): Source | undefined {
  const given = rolesOf(redis)?.[role]
  if (given === undefined) return undefined
  if (typeof given === 'string') return read({ url: given })
  // A client, of whatever library, has `on`; options have not.
  return 'on' in given ? undefined : read(given as RedisOptions)
}

function read(options: RedisOptions): Source {
  const plan = readOptions(options)
  return { plan, access: plan.access }
}
