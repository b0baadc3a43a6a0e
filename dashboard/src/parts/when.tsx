import { signal } from '@preact/signals'
import { distance, moment, NOTHING } from './format.ts'

const now = signal(Date.now())
setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 5_000)

/** A moment beside now, the exact one on hover and for readers. */
export function When({ at }: { readonly at: string | number | null | undefined }) {
  if (at === null || at === undefined) return <span class="muted">{NOTHING}</span>
  // What happened after the last tick is not in the future.
  const late = Math.max(now.value, new Date(at).getTime() < Date.now() ? new Date(at).getTime() : 0)
  return (
    <time dateTime={new Date(at).toISOString()} title={moment(at)}>
      {distance(at, late)}
    </time>
  )
}
