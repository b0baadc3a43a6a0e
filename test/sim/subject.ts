/** The cache under test, as the workload sees it: one per process. */
export interface Subject {
  getOrSet(key: string, tags: readonly string[], load: Load, options: ReadOptions): Promise<unknown>
  getOrSetMany(
    keys: readonly string[],
    load: (key: string) => Promise<unknown>,
    /** Tags of every key in the batch. */
    tags: readonly string[],
    options: ReadOptions,
  ): Promise<unknown[]>
  /** undefined = not cached. */
  get(key: string): Promise<unknown>
  /** Reads the source and stores what it read, safely. */
  writeThrough(key: string, tags: readonly string[], read: () => Promise<unknown>): Promise<void>
  invalidate(what: { keys?: readonly string[]; tags?: readonly string[]; soft: boolean }): Promise<void>
  deletePattern(glob: string): Promise<void>
  clear(): Promise<void>
  mutate(
    what: { keys: readonly string[]; tags: readonly string[] },
    change: () => Promise<void>,
  ): Promise<void>
  /** How often a caller shared a load begun before it came because the store was down: exception E3. */
  close(): Promise<void>
}

/** `tag` adds tags that only the loader knows. */
export type Load = (tag: (...tags: string[]) => void) => Promise<unknown>

export interface ReadOptions {
  readonly ttl: number
  readonly stale: number
  /** false = wait for the reload of a stale value. */
  readonly soft: number | false
  readonly staleIfError: boolean
}
