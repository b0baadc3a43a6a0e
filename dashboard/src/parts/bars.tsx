import { count } from './format.ts'

export interface Bar {
  readonly name: string
  readonly value: number
}

/** Horizontal bars; the number stands beside each, so nobody has to measure. */
export function Bars({ label, bars }: { readonly label: string; readonly bars: readonly Bar[] }) {
  const most = Math.max(1, ...bars.map(({ value }) => value))
  return (
    <ul class="bars" aria-label={label}>
      {bars.map(({ name, value }) => (
        <li key={name}>
          <span class="muted">{name}</span>
          <span class="meter" aria-hidden="true">
            <span style={{ width: `${(100 * value) / most}%` }} />
          </span>
          <span>{count(value)}</span>
        </li>
      ))}
    </ul>
  )
}

interface MeterProps {
  readonly share: number
  readonly tone?: 'warn' | 'bad'
}

export function Meter({ share, tone }: MeterProps) {
  return (
    <div class="meter" data-tone={tone} aria-hidden="true">
      <span style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} />
    </div>
  )
}
