import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { CliError } from './io.ts'

/**
 * One JSON document a line: a head, one record per key, and an end that counts and seals the lines
 * before it, so that a file that was cut or changed is known before anything is written.
 */
export interface Head {
  readonly format: 'holdfast-backup'
  readonly version: 1
  readonly namespace: string
  readonly redisVersion: string
  /** ISO 8601. */
  readonly at: string
}

export interface Entry {
  /** Name of the key. */
  readonly k: string
  /** ms that it had left; 0: for ever. */
  readonly t: number
  /** What DUMP said, base64; it carries a checksum of its own that RESTORE holds it to. */
  readonly d: string
}

export interface End {
  readonly end: true
  readonly keys: number
  /** SHA-256 of all lines before this one, hex. */
  readonly sha256: string
}

const VERSION = 1

/** Lines for the file, and the seal over them. */
export class BackupLines {
  readonly #hash: Hash = createHash('sha256')
  #keys = 0

  head(head: Omit<Head, 'format' | 'version'>): string {
    return this.#line({ format: 'holdfast-backup', version: VERSION, ...head })
  }

  entry(entry: Entry): string {
    this.#keys++
    return this.#line(entry)
  }

  end(): string {
    return `${JSON.stringify({ end: true, keys: this.#keys, sha256: this.#hash.digest('hex') })}\n`
  }

  #line(document: object): string {
    const line = `${JSON.stringify(document)}\n`
    this.#hash.update(line)
    return line
  }
}

/** Reads a file through once and holds it to its seal. @throws CliError */
export async function checkBackup(path: string): Promise<{ head: Head; keys: number }> {
  const hash = createHash('sha256')
  let head: Head | undefined
  let end: End | undefined
  let keys = 0
  for await (const line of linesOf(path)) {
    if (end !== undefined)
      throw new CliError('the backup goes on behind its end', 'it is damaged: nothing was written')
    const document = parse(line)
    if (head === undefined) head = headOf(document)
    else if ('end' in document)
      end = document as unknown as End // it is compared field by field below
    else keys++
    if (end === undefined) hash.update(`${line}\n`)
  }
  if (head === undefined) throw new CliError('the file is empty', 'it is no backup of holdfast')
  if (end === undefined) throw new CliError('the backup has no end: it was cut', 'nothing was written')
  if (end.keys !== keys || end.sha256 !== hash.digest('hex')) {
    throw new CliError(
      'the backup does not agree with its checksum',
      'it was damaged or changed: nothing was written',
    )
  }
  return { head, keys }
}

/** The records of a file that was checked. */
export async function* entriesOf(path: string): AsyncGenerator<Entry> {
  let first = true
  for await (const line of linesOf(path)) {
    const document = parse(line)
    if (!first && !('end' in document)) {
      const { k, t, d } = document as Partial<Entry>
      if (typeof k !== 'string' || typeof t !== 'number' || typeof d !== 'string') {
        throw new CliError('a record of the backup is none', 'nothing more was written')
      }
      yield { k, t, d }
    }
    first = false
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const input = createReadStream(path, 'utf8')
  // An error of the stream does not reach who iterates over its lines.
  const failed = new Promise<never>((_, reject) => input.once('error', reject))
  failed.catch(() => undefined)
  await Promise.race([failed, new Promise((resolve) => input.once('open', resolve))])
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
    if (line !== '') yield line
}

function parse(line: string): object {
  try {
    const document: unknown = JSON.parse(line)
    if (typeof document === 'object' && document !== null) return document
  } catch {
    // said below
  }
  throw new CliError('the file is no backup of holdfast, or it is damaged', 'nothing was written')
}

function headOf(document: object): Head {
  const head = document as Partial<Head>
  if (head.format !== 'holdfast-backup') throw new CliError('the file is no backup of holdfast')
  if (head.version !== VERSION)
    throw new CliError('the backup is of another release', 'restore it with that one')
  return head as Head
}
