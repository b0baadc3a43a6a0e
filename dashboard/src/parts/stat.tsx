import type { ComponentChildren } from 'preact'

interface StatProps {
  readonly name: string
  readonly value: string
  readonly tone?: 'good' | 'warn' | 'bad' | 'off'
  readonly note?: ComponentChildren
}

/** One figure. Its box has the same height whatever it says, so nothing jumps when it moves. */
export function Stat({ name, value, tone, note }: StatProps) {
  return (
    <div class="stat">
      <dt>{name}</dt>
      <dd class="stat-value" data-tone={tone}>
        {value}
      </dd>
      <dd class="stat-note">{note ?? '\u00a0'}</dd>
    </div>
  )
}

export function Stats({ label, children }: { readonly label: string; readonly children: ComponentChildren }) {
  return (
    <section aria-label={label}>
      <dl class="stats">{children}</dl>
    </section>
  )
}
