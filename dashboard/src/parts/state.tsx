import type { ComponentChildren } from 'preact'
import { access } from '../api/access.ts'
import type { Refusal } from '../api/request.ts'
import type { Resource } from '../api/resource.ts'

export function Loading({ what, lines = 4 }: { readonly what: string; readonly lines?: number }) {
  return (
    <div class="skeleton" role="status">
      <span class="hidden">Loading {what}…</span>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} aria-hidden="true" />
      ))}
    </div>
  )
}

export function Empty({
  title,
  children,
}: {
  readonly title: string
  readonly children?: ComponentChildren
}) {
  return (
    <div class="state">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  )
}

/** Why there is nothing to see, and what to do about it: each refusal has its own words. */
export function Refused({ refusal, retry }: { readonly refusal: Refusal; readonly retry?: () => void }) {
  const { title, advice } = wordsFor(refusal)
  return (
    <div class="state" role="alert">
      <strong>{title}</strong>
      <p>{refusal.message}</p>
      {advice && <p>{advice}</p>}
      {retry && refusal.status !== 403 && (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

function wordsFor({ status, retryAfter }: Refusal): { title: string; advice?: string } {
  if (status === 0) return { title: 'No answer', advice: 'The page goes on trying by itself.' }
  if (status === 403) {
    const now = access.value
    const edition = now.state === 'in' ? now.me.edition : undefined
    return {
      title: 'Not included in your role',
      ...(edition && { advice: `You are signed in as ${edition}. Someone with a higher edition can look.` }),
    }
  }
  if (status === 404) return { title: 'Not there' }
  if (status === 429) {
    return { title: 'Too many requests', advice: `Wait ${retryAfter ?? 'a few'} seconds.` }
  }
  if (status === 503) {
    return {
      title: 'Redis does not answer',
      advice: 'The application goes on without it, and so does this page.',
    }
  }
  return { title: 'This did not work' }
}

interface ShownProps<T> {
  readonly of: Resource<T>
  readonly what: string
  readonly lines?: number
  readonly children: (data: T) => ComponentChildren
}

/** Data when there is some, with a word above it when it is old; else why not. */
export function Shown<T>({ of: { data, refusal, reload }, what, lines, children }: ShownProps<T>) {
  if (data === undefined) {
    return refusal ? <Refused refusal={refusal} retry={reload} /> : <Loading what={what} lines={lines ?? 4} />
  }
  return (
    <>
      {refusal && (
        <p class="tone-warn" role="status">
          These figures are old: {refusal.message}
        </p>
      )}
      {children(data)}
    </>
  )
}
