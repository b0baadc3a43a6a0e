import assert from 'node:assert/strict'
import { systemClock } from '../base/clock.ts'

/** Real time: contract suites run against real backends. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve))

/** Waits until it is true, for five seconds at most. */
export async function reaches(condition: () => Promise<boolean>): Promise<void> {
  const end = systemClock.mono() + 5_000
  while (!(await condition())) {
    assert.ok(systemClock.mono() < end, 'the condition was not reached within 5 s')
    await pause(2)
  }
}

/** Keeps the event loop from doing anything else, as long synchronous work does. */
export function blockLoop(ms: number): void {
  const end = systemClock.mono() + ms
  while (systemClock.mono() < end);
}
