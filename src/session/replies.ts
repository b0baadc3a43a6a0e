import type { Reply } from '../redis/link.ts'
import type { Gone, Moved, Stored, Timing } from './store.ts'

export const GONE: Gone = { state: 'gone' }

/** A session from the fields of its hash, `[name, text, …]`. Times in server ms. */
export function storedOf(flat: readonly Reply[], now: number, expiresAt: number): Stored {
  const fields = new Map<string, string>()
  const meta: { [name: string]: string } = {}
  for (let i = 0; i < flat.length; i += 2) {
    const name = text(flat[i])
    if (name.startsWith('.')) fields.set(name.slice(1), text(flat[i + 1]))
    else meta[name] = text(flat[i + 1])
  }
  const { '@x': index, '@u': user = '', '@m': note = '' } = meta
  return {
    fields,
    owner: index === undefined ? undefined : { index, user },
    note,
    idleMs: Number(meta['@i']),
    createdAt: Number(meta['@c']),
    endsAt: Number(meta['@a']),
    bytes: Number(meta['@b']),
    version: Number(meta['@v']),
    now,
    expiresAt,
  }
}

export function ending(reply: readonly Reply[]): Gone | Moved | undefined {
  if (reply[0] === 'gone') return GONE
  return reply[0] === 'moved' ? { state: 'moved', to: text(reply[1]) } : undefined
}

export const timing = (reply: readonly Reply[]): Timing => ({
  version: Number(reply[0]),
  now: Number(reply[1]),
  expiresAt: Number(reply[2]),
})

export const list = (reply: Reply): readonly Reply[] => (Array.isArray(reply) ? reply : [])
export const text = (reply: Reply | undefined): string =>
  reply === null || reply === undefined || Array.isArray(reply) ? '' : String(reply)
export const num = (value: number): string => String(Math.round(value))
export const tagOf = (key: string): string => key.slice(key.indexOf('{') + 1, key.indexOf('}'))
