import type { Clock } from '../base/clock.ts'
import { RedisTimeout } from '../base/errors.ts'
import type { SupervisedNode } from './node.ts'

/** Waits for every node; after `ms` rejects with what kept the first of them from being ready. */
export function allReady(
  clock: Clock,
  ms: number,
  label: string,
  nodes: () => readonly SupervisedNode[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => {
      const last = nodes().find((node) => node.state !== 'ready')?.lastError
      reject(last ?? new RedisTimeout(`${label} was not ready within ${ms} ms`))
    })
    Promise.all(nodes().map((node) => node.whenReady())).then(
      () => {
        timer.cancel()
        resolve()
      },
      (error) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
