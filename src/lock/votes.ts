/** What one of several servers said so far; `undefined` = nothing yet. */
export type Vote<T> = { readonly value: T } | { readonly error: unknown } | undefined

/**
 * Gathers the answers of all and resolves as soon as `decided` is content with those that are in,
 * or all are: a server that hangs must not make the others wait. Never rejects.
 */
export function gather<T>(
  asked: readonly Promise<T>[],
  decided: (votes: readonly Vote<T>[]) => boolean,
): Promise<readonly Vote<T>[]> {
  const votes: Vote<T>[] = asked.map(() => undefined)
  let open = asked.length
  return new Promise((resolve) => {
    const count = (index: number, vote: Vote<T>) => {
      votes[index] = vote
      open--
      // A copy: later answers must not change what was decided upon.
      if (open === 0 || decided(votes)) resolve([...votes])
    }
    asked.forEach((one, index) => {
      one.then(
        (value) => count(index, { value }),
        (error: unknown) => count(index, { error }),
      )
    })
  })
}

/** How many said something that `is` likes. */
export function ayes<T>(votes: readonly Vote<T>[], is: (value: T) => boolean): number {
  return votes.filter((vote) => vote && 'value' in vote && is(vote.value)).length
}

/** How many gave no usable answer. */
export function failures(votes: readonly Vote<unknown>[]): number {
  return votes.filter((vote) => vote && 'error' in vote).length
}

export function firstError(votes: readonly Vote<unknown>[]): unknown {
  for (const vote of votes) if (vote && 'error' in vote) return vote.error
  return undefined
}
