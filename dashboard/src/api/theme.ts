import { signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'
const NAME = 'holdfast-theme'
const ORDER: readonly Theme[] = ['system', 'light', 'dark']

export const theme = signal<Theme>('system')
/** Moves whenever colours change, whatever made them: charts draw on a canvas and must be told. */
export const paint = signal(0)

export function applyTheme(): void {
  const kept = localStorage.getItem(NAME)
  set(ORDER.find((name) => name === kept) ?? 'system')
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    paint.value++
  })
}

export function nextTheme(): void {
  const next = ORDER[(ORDER.indexOf(theme.peek()) + 1) % ORDER.length]!
  localStorage.setItem(NAME, next)
  set(next)
}

function set(to: Theme): void {
  theme.value = to
  if (to === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = to
  paint.value++
}
