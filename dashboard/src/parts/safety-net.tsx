import type { ComponentChildren } from 'preact'
import { useErrorBoundary } from 'preact/hooks'

/** A view that breaks takes nothing else with it. */
export function SafetyNet({ children }: { readonly children: ComponentChildren }) {
  const [error, again] = useErrorBoundary((broken: unknown) => console.error(broken))
  if (error === undefined) return children
  return (
    <div class="state" role="alert">
      <strong>This view broke</strong>
      <p>The page and the server may be of different versions. Reloading the page may help.</p>
      <button type="button" class="button" onClick={again}>
        Try again
      </button>
    </div>
  )
}
