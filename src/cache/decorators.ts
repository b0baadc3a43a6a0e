import { InvalidOption } from '../base/errors.ts'
import { argsKey } from './args-key.ts'
import { MutationNotAcknowledged } from './mutate.ts'
import type { CacheOptions, InvalidateOptions, Loader } from './options.ts'

/** The part of a cache that wrapped functions use. */
export interface Wrappable {
  getOrSet<T>(key: string, loader: Loader<T>, options?: CacheOptions): Promise<T>
  invalidate(
    what: { keys?: readonly string[] | undefined; tags?: readonly string[] | undefined },
    options?: InvalidateOptions,
  ): Promise<boolean>
  deletePattern(glob: string, options?: InvalidateOptions): Promise<number>
}

/** Options of `cached(fn, options)` and of the decorator. */
export interface CachedOptions<Args extends unknown[] = unknown[]> extends Omit<CacheOptions, 'tags'> {
  /** Key from the arguments. @default `prefix` and the arguments, see `argsKey` */
  key?: ((...args: Args) => string) | undefined
  /** First part of the default key. @default the function's name; methods must say it */
  prefix?: string | undefined
  /** Tags of each result, or from the arguments. */
  tags?: readonly string[] | ((...args: Args) => readonly string[]) | undefined
}

/** What a call that succeeded invalidates. */
export interface InvalidatesOptions<Args extends unknown[] = unknown[]> {
  /** Tags, or from the arguments. */
  tags?: readonly string[] | ((...args: Args) => readonly string[]) | undefined
  /** Keys, or from the arguments. */
  keys?: readonly string[] | ((...args: Args) => readonly string[]) | undefined
  /** Globs: see `Cache.deletePattern`. */
  patterns?: readonly string[] | ((...args: Args) => readonly string[]) | undefined
}

/** Works as a standard (TC39) and as a legacy TypeScript method decorator. */
export interface MethodWrapper {
  <This, Args extends unknown[], R>(
    method: (this: This, ...args: Args) => Promise<R>,
    context: ClassMethodDecoratorContext,
  ): (this: This, ...args: Args) => Promise<R>
  (proto: object, name: string | symbol, descriptor: PropertyDescriptor): PropertyDescriptor
}

/** A cache, or where to find it once the method is called: `(self) => self.cache`. */
export type CacheSource = Wrappable | ((self: unknown) => Wrappable)

type AnyMethod = (this: unknown, ...args: unknown[]) => unknown
type Wrap = (method: AnyMethod) => AnyMethod

/** The function with its results cached. */
export function cacheFunction<Args extends unknown[], R>(
  source: CacheSource,
  fn: (...args: Args) => R | Promise<R>,
  options: CachedOptions<Args> = {},
): (...args: Args) => Promise<R> {
  const prefix = options.prefix ?? fn.name
  if (!options.key && !prefix) {
    throw new InvalidOption(
      'the function has no name to make a key from',
      `give prefix: 'task' or key: (id) => …`,
    )
  }
  return wrapCached(source, fn as AnyMethod, options as CachedOptions, prefix) as (
    ...args: Args
  ) => Promise<R>
}

/** `@cached({ cache, prefix: 'task', ttl: '5m' })` */
export function cached(options: CachedOptions<never[]> & { cache: CacheSource }): MethodWrapper {
  const { cache, ...words } = options
  const { prefix } = words
  if (!words.key && !prefix) {
    throw new InvalidOption(
      '@cached needs a prefix or a key',
      `two classes may have methods of one name: give prefix: 'task'`,
    )
  }
  return decorator((method) => wrapCached(cache, method, words as CachedOptions, prefix ?? ''))
}

/** The function, after whose success the named entries are invalidated. Failure invalidates nothing. */
export function invalidatesFunction<Args extends unknown[], R>(
  source: CacheSource,
  fn: (...args: Args) => R | Promise<R>,
  options: InvalidatesOptions<Args>,
): (...args: Args) => Promise<R> {
  return wrapInvalidates(source, fn as AnyMethod, options as InvalidatesOptions) as (
    ...args: Args
  ) => Promise<R>
}

/** `@invalidates({ cache, patterns: ['task:*', 'tasks:*'] })` */
export function invalidates(options: InvalidatesOptions<never[]> & { cache: CacheSource }): MethodWrapper {
  const { cache, ...words } = options
  return decorator((method) => wrapInvalidates(cache, method, words as InvalidatesOptions))
}

function wrapCached(source: CacheSource, fn: AnyMethod, options: CachedOptions, prefix: string): AnyMethod {
  const { key, prefix: _, tags, ...words } = options
  const fixed: CacheOptions = typeof tags === 'function' ? words : { ...words, tags }
  return function (this: unknown, ...args) {
    const name = key ? key(...args) : argsKey(prefix, args)
    const settings = typeof tags === 'function' ? { ...words, tags: tags(...args) } : fixed
    return find(source, this).getOrSet(name, () => fn.apply(this, args), settings)
  }
}

function wrapInvalidates(source: CacheSource, fn: AnyMethod, options: InvalidatesOptions): AnyMethod {
  if (!options.tags && !options.keys && !options.patterns) {
    throw new InvalidOption('invalidates() names nothing', 'give tags, keys or patterns')
  }
  return async function (this: unknown, ...args) {
    const result = await fn.apply(this, args)
    const cache = find(source, this)
    const names = (given: InvalidatesOptions['keys']) =>
      typeof given === 'function' ? given(...args) : (given ?? [])
    try {
      await cache.invalidate({ keys: names(options.keys), tags: names(options.tags) })
      for (const glob of names(options.patterns)) await cache.deletePattern(glob)
    } catch (cause) {
      throw new MutationNotAcknowledged(result, cause)
    }
    return result
  }
}

function find(source: CacheSource, self: unknown): Wrappable {
  return typeof source === 'function' ? source(self) : source
}

function decorator(wrap: Wrap): MethodWrapper {
  const apply = (target: unknown, context: unknown, descriptor?: PropertyDescriptor): unknown => {
    if (typeof context === 'object' && context !== null && 'kind' in context) {
      if (context.kind !== 'method') throw notAMethod()
      return wrap(target as AnyMethod)
    }
    if (typeof descriptor?.value !== 'function') throw notAMethod()
    return { ...descriptor, value: wrap(descriptor.value as AnyMethod) }
  }
  // One function for two calling conventions cannot be typed from inside; `apply` tells them apart.
  return apply as MethodWrapper
}

const notAMethod = () =>
  new InvalidOption('the decorator stands on something else than a method', 'move it to a method')
