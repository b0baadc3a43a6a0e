import type { ComponentChildren } from 'preact'

export type Tone = 'good' | 'warn' | 'bad' | 'accent' | 'plain'

export function Badge({
  tone = 'plain',
  children,
}: {
  readonly tone?: Tone
  readonly children: ComponentChildren
}) {
  return (
    <span class="badge" data-tone={tone}>
      {children}
    </span>
  )
}
