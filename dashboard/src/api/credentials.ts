import { signal } from '@preact/signals'

const NAME = 'holdfast-token'

/** The bearer token of this tab: gone when the tab is, and never in a cookie, so no other page can use it. */
export const token = signal<string | undefined>(sessionStorage.getItem(NAME) ?? undefined)

export function keepToken(text: string): void {
  sessionStorage.setItem(NAME, text)
  token.value = text
}

/** Whether the server put the last token away, rather than its owner. */
export let wasRefused = false

export function dropToken(refused = false): void {
  wasRefused = refused
  sessionStorage.removeItem(NAME)
  token.value = undefined
}

/** A link may bring the token once, as `#token=…`: a fragment is sent to no server, and it leaves the address at once. */
export function takeTokenFromAddress(): void {
  const found = /^#token=([^&]+)/.exec(location.hash)?.[1]
  if (found === undefined) return
  history.replaceState(null, '', `${location.pathname}${location.search}#/`)
  try {
    keepToken(decodeURIComponent(found))
  } catch {
    // A percent sign that encodes nothing: no token, and the form asks for one.
  }
}
