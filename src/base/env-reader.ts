import { ConfigError } from './errors.ts'

export type Env = Record<string, string | undefined>

/** Reads typed values from an environment and collects what was decided on the way. Empty is unset. */
export class EnvReader {
  readonly warnings: string[] = []
  readonly sources: Record<string, string> = {}
  readonly #env: Env

  constructor(env: Env) {
    this.#env = env
  }

  text(name: string): string | undefined {
    return this.#env[name]?.trim() || undefined
  }

  names(prefix: string): string[] {
    return Object.keys(this.#env)
      .filter((name) => name.length > prefix.length && name.startsWith(prefix) && this.text(name))
      .sort()
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name)?.toLowerCase()
    if (value === undefined) return undefined
    if (['true', '1', 'yes', 'on'].includes(value)) return true
    if (['false', '0', 'no', 'off'].includes(value)) return false
    throw new ConfigError(`${name} is neither true nor false`, 'write true or false')
  }

  whole(name: string, least: number, most: number): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN
    if (number >= least && number <= most) return number
    throw new ConfigError(
      `${name} is not a whole number from ${least} to ${most}`,
      'correct it, or take it away for the default',
    )
  }

  /** @returns milliseconds */
  seconds(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN
    if (seconds >= 0.001 && seconds <= 315_360_000) return seconds * 1_000
    throw new ConfigError(
      `${name} is not a number of seconds above 0`,
      name.startsWith('CACHE_')
        ? 'write for example 300; CACHE_ENABLED=false switches caching off'
        : 'write for example 0.5',
    )
  }
}
