import type { Body, Draft, Entry } from '../store.ts'
import { tagFromWire, wireTag } from './layout.ts'

/**
 * The entry as it stands in Redis: one ASCII header line, then the body, so that `redis-cli get`
 * shows a JSON value as JSON.
 *
 *   hf1 <epoch> <seq> <stored> <fresh> <stale> <loadMs> <flags|-> <etag|-> <tag,tag,…>\n<body>
 *
 * Times are server ms, written by the fill script from the server's clock. A reader that meets
 * another magic word treats the entry as absent, so the format can change between releases.
 */
export const MAGIC = 'hf1'

/** Letters of `flags` that mean: the body is bytes, do not read it as text. */
const BINARY_FLAGS = /[bcevmx]/

export const isBinary = (flags: string): boolean => flags !== '' && BINARY_FLAGS.test(flags)

/** The part of the header that the client knows; epoch, seq and times are put before it by Lua. */
export function headerRest(draft: Draft): string {
  const etag = draft.etag === undefined ? '-' : encodeURIComponent(draft.etag)
  const tags = draft.tags.length === 0 ? '' : draft.tags.map(wireTag).join(',')
  return `${Math.round(draft.loadMs)} ${draft.flags || '-'} ${etag} ${tags}\n`
}

export interface Header {
  readonly epoch: string
  readonly seq: number
  readonly stored: number
  readonly fresh: number
  readonly stale: number
  readonly loadMs: number
  readonly flags: string
  readonly etag: string | undefined
  readonly tags: readonly string[]
  /** Where the body begins. */
  readonly end: number
}

const NO_TAGS: readonly string[] = []

/** Undefined when it is no entry of this format: foreign, truncated or corrupt. */
export function parseHeader(raw: Body): Header | undefined {
  const end = typeof raw === 'string' ? raw.indexOf('\n') : raw.indexOf(10)
  if (end < 0) return undefined
  const line = typeof raw === 'string' ? raw.slice(0, end) : raw.toString('latin1', 0, end)
  const field = line.split(' ')
  if (field.length !== 10 || field[0] !== MAGIC) return undefined
  const seq = Number(field[2])
  const stored = Number(field[3])
  const fresh = Number(field[4])
  const stale = Number(field[5])
  if (!(seq >= 0 && stored > 0 && fresh >= 0 && stale > 0)) return undefined
  return {
    epoch: field[1]!,
    seq,
    stored,
    fresh,
    stale,
    loadMs: Number(field[6]) || 0,
    flags: field[7] === '-' ? '' : field[7]!,
    etag: field[8] === '-' ? undefined : decodeEtag(field[8]!),
    tags: field[9] === '' ? NO_TAGS : field[9]!.split(',').map(tagFromWire),
    end: end + 1,
  }
}

function decodeEtag(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** `shift` turns server ms into the store's local time base. */
export function toEntry(key: string, raw: Body, header: Header, shift: number, softened: boolean): Entry {
  const body = typeof raw === 'string' ? raw.slice(header.end) : raw.subarray(header.end)
  return {
    key,
    flags: header.flags,
    tags: header.tags,
    storedAt: header.stored + shift,
    freshUntil: softened || header.fresh === 0 ? 0 : header.fresh + shift,
    staleUntil: header.stale + shift,
    loadMs: header.loadMs,
    etag: header.etag,
    body,
    memo: undefined,
    size: key.length + raw.length,
  }
}
