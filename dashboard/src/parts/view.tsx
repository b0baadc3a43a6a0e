import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

interface ViewProps {
  readonly title: string
  /** What this view tells, in a sentence. */
  readonly about: string
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
}

/** True once the first view has been shown: after that a new view takes the focus, so that a reader hears it. */
let moved = false

export function View({ title, about, actions, children }: ViewProps) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · Holdfast`
    if (moved) heading.current?.focus()
    moved = true
  }, [title])
  return (
    <div class="view">
      <header class="view-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          <p>{about}</p>
        </div>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </div>
  )
}

interface CardProps {
  readonly title: string
  readonly note?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
}

export function Card({ title, note, actions, children }: CardProps) {
  return (
    <section class="card" aria-label={title}>
      <div class="card-head">
        <h2>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
        {note && <p class="muted">{note}</p>}
      </div>
      {children}
    </section>
  )
}
