import { signal } from '@preact/signals'
import { Refusal } from './request.ts'

export interface Notice {
  readonly id: number
  readonly text: string
  readonly tone: 'good' | 'bad'
}

export const notices = signal<readonly Notice[]>([])
let last = 0
const SHOWN_MS = 7_000
const MOST = 4

/** Says what came of an action. What went wrong stays until it is put away. */
export function tell(text: string, tone: Notice['tone'] = 'good'): void {
  const id = ++last
  notices.value = [...notices.value, { id, text, tone }].slice(-MOST)
  if (tone === 'good') setTimeout(() => putAway(id), SHOWN_MS)
}

export function putAway(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id)
}

/** Runs an action and tells what came of it. Resolves to whether it was done; never rejects. */
export async function act<T>(run: () => Promise<T>, done: (answer: T) => string): Promise<boolean> {
  try {
    tell(done(await run()))
    return true
  } catch (error) {
    tell(error instanceof Refusal ? error.message : String(error), 'bad')
    return false
  }
}
