import { InvalidOption } from '../base/errors.ts'
import type { CacheOptions, InvalidateOptions, LoadContext, Loader } from './options.ts'

/** A cached function in words: its key, its tags, its options. */
export interface Definition<Args extends unknown[]> extends Omit<CacheOptions, 'tags'> {
  key: (...args: Args) => string
  tags?: readonly string[] | ((...args: Args) => readonly string[]) | undefined
}

/** What `define` returns: call it for the value; the verbs beside it take the same arguments. */
export interface Defined<Args extends unknown[], T> {
  (...args: Args): Promise<T>
  /** The key of these arguments. */
  key(...args: Args): string
  /** The fresh cached value without loading. */
  peek(...args: Args): Promise<T | undefined>
  /** Hard: see `Cache.delete`. */
  invalidate(...args: Args): Promise<boolean>
  /** Soft: see `Cache.expire`. */
  expire(...args: Args): Promise<boolean>
}

/** The part of a cache that a defined function uses. */
export interface Definable {
  getOrSet<T>(key: string, loader: Loader<T>, options?: CacheOptions): Promise<T>
  get<T>(key: string, options?: CacheOptions): Promise<T | undefined>
  delete(key: string, options?: InvalidateOptions): Promise<boolean>
  expire(key: string, options?: InvalidateOptions): Promise<boolean>
}

export function define<Args extends unknown[], T>(
  cache: Definable,
  definition: Definition<Args>,
  loader: (...args: [...Args, LoadContext<T>]) => T | Promise<T>,
): Defined<Args, T> {
  const { key, tags, ...words } = definition
  if (typeof key !== 'function' || typeof loader !== 'function') {
    throw new InvalidOption('define() lacks a function', 'write define({ key: (id) => …, … }, loader)')
  }
  // One options object for all calls where tags do not depend on the arguments: it is resolved once.
  const fixed: CacheOptions = typeof tags === 'function' ? words : { ...words, tags }
  const options = (args: Args): CacheOptions =>
    typeof tags === 'function' ? { ...words, tags: tags(...args) } : fixed
  const call = (...args: Args): Promise<T> =>
    cache.getOrSet<T>(key(...args), (context) => loader(...args, context), options(args))
  return Object.assign(call, {
    key: (...args: Args) => key(...args),
    peek: (...args: Args) => cache.get<T>(key(...args), options(args)),
    invalidate: (...args: Args) => cache.delete(key(...args)),
    expire: (...args: Args) => cache.expire(key(...args)),
  })
}
