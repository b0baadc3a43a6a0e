import { useState } from 'preact/hooks'

export interface Cursor {
  readonly cursor: string | undefined
  readonly page: number
  next(cursor: string): void
  back(): void
  restart(): void
}

/** The pages seen so far: cursors only go forward, so going back means remembering. */
export function useCursor(): Cursor {
  const [seen, setSeen] = useState<readonly string[]>([])
  return {
    cursor: seen.at(-1),
    page: seen.length + 1,
    next: (cursor) => setSeen([...seen, cursor]),
    back: () => setSeen(seen.slice(0, -1)),
    restart: () => setSeen([]),
  }
}

interface PagerProps {
  readonly at: Cursor
  readonly next: string | null | undefined
  readonly note: string
}

export function Pager({ at, next, note }: PagerProps) {
  return (
    <nav class="pager" aria-label="Pages">
      <span class="muted" role="status">
        {note}
      </span>
      <div class="actions">
        <button type="button" class="button" disabled={at.page === 1} onClick={at.back}>
          Previous
        </button>
        <button type="button" class="button" disabled={!next} onClick={() => next && at.next(next)}>
          Next
        </button>
      </div>
    </nav>
  )
}
