import { signal } from '@preact/signals'

/** Where the page is: `#/keys?pattern=user:*` is the view `keys`. Everything worth a link is in there. */
export interface Place {
  readonly view: string
  readonly query: URLSearchParams
}

function read(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2)
  return { view: path, query: new URLSearchParams(query) }
}

export const place = signal<Place>({ view: '', query: new URLSearchParams() })

export function watchAddress(): void {
  place.value = read()
  window.addEventListener('hashchange', () => {
    place.value = read()
  })
}

export function hrefOf(view: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]))
  const text = new URLSearchParams(given).toString()
  return `#/${view}${text === '' ? '' : `?${text}`}`
}

export function go(view: string, query: Readonly<Record<string, string | undefined>> = {}): void {
  location.hash = hrefOf(view, query)
}
