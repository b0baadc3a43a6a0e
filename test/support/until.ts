/**
 * Waits for a condition instead of for a time: polls until `check` gives something truthy, and
 * fails with `what` when it does not within the bound.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  ms = 10_000,
  everyMs = 5,
): Promise<NonNullable<T>> {
  const end = performance.now() + ms
  let last: unknown
  do {
    try {
      const value = await check()
      if (value) return value
      last = undefined
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  } while (performance.now() < end)
  throw new Error(`waited ${ms} ms in vain until ${what}`, { cause: last })
}
