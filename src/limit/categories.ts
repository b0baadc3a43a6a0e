import { ConfigError } from '../base/errors.ts'
import type { LimitList } from './policy.ts'
import { compile } from './policy.ts'

/** Limits by name, and whether they are on at all. */
export interface LimitCategories {
  /** False with `RATE_LIMIT_ENABLED=false`: pass it on as the limiter's `enabled`. */
  readonly enabled: boolean
  readonly limits: Readonly<Record<string, LimitList>>
  /** Which variable decided each, by name. */
  readonly sources: Readonly<Record<string, string>>
}

const PREFIX = 'RATE_LIMIT_'
const SWITCH = 'RATE_LIMIT_ENABLED'

/**
 * Limits by category, each overridden by its variable: `dataset_ops` and `dataset-ops` by
 * `RATE_LIMIT_DATASET_OPS`. Several limits are separated by `;`. A variable without a default adds
 * a category. Reads only what it is given.
 * @throws ConfigError naming the variable that is no limit
 */
export function limitCategories(
  defaults: Readonly<Record<string, LimitList>>,
  variables: Readonly<Record<string, string | undefined>> = {},
): LimitCategories {
  const limits: Record<string, LimitList> = Object.assign(Object.create(null), defaults)
  const names = new Map(Object.keys(defaults).map((name) => [variableOf(name), name]))
  const sources: Record<string, string> = Object.create(null)
  for (const variable of Object.keys(variables).sort()) {
    const text = variables[variable]?.trim()
    if (!text || variable === SWITCH || !variable.startsWith(PREFIX) || variable === PREFIX) continue
    const name = names.get(variable) ?? variable.slice(PREFIX.length).toLowerCase()
    limits[name] = readLimits(variable, text)
    sources[name] = variable
  }
  for (const list of Object.values(limits)) compile(list)
  return { enabled: readSwitch(variables[SWITCH]), limits, sources }
}

function readLimits(variable: string, text: string): LimitList {
  const list = text.split(';').map((part) => part.trim())
  try {
    compile(list)
  } catch (error) {
    throw new ConfigError(
      `${variable} is not a limit`,
      'write for example 100/hour, or 10/s burst 20; 1000/hour',
      {
        cause: error,
      },
    )
  }
  return list.length === 1 ? list[0]! : list
}

function readSwitch(value: string | undefined): boolean {
  const text = value?.trim().toLowerCase()
  if (!text || ['true', '1', 'yes', 'on'].includes(text)) return true
  if (['false', '0', 'no', 'off'].includes(text)) return false
  throw new ConfigError(`${SWITCH} is neither true nor false`, 'write true or false')
}

const variableOf = (name: string): string => `${PREFIX}${name.replace(/\W/g, '_').toUpperCase()}`
