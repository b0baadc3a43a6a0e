import { InvalidOption } from './errors.ts'
import { compileGlob } from './glob.ts'

/** Some names of a scan, perhaps none. */
export interface NameBatch {
  readonly keys: readonly string[]
  /** Where to go on after them; undefined at the end. */
  readonly next: string | undefined
}

const BATCH = 1_000

/** A scan over names in process memory; its cursor is the number of names passed. */
export async function* scanNames(
  names: () => Iterable<string>,
  glob: string,
  isThere: (name: string) => boolean,
  from = '0',
): AsyncGenerator<NameBatch> {
  if (!/^\d{1,15}$/.test(from)) {
    throw new InvalidOption('the cursor is none of a scan', 'pass it on as it was given')
  }
  const matches = compileGlob(glob)
  const all = [...names()]
  for (let at = Number(from); at < all.length; at += BATCH) {
    const next = at + BATCH
    yield {
      keys: all.slice(at, next).filter((name) => matches(name) && isThere(name)),
      next: next < all.length ? String(next) : undefined,
    }
  }
}
