/**
 * A disk for tests that behaves as badly as it may: what was not synced can be lost, in part and in
 * any order, any call can fail, and the machine can stop at any call.
 */
import type { SpillDisk, SpillFile } from '../../src/queue/spill-disk.ts'

export type DiskCall = 'create' | 'write' | 'truncate' | 'sync' | 'remove' | 'read'

/** What a call does instead of succeeding; a write may leave so many bytes behind. */
export interface Fault {
  readonly code: 'ENOSPC' | 'EIO'
  readonly written?: number
}

/** How the machine stops: the process alone (what was written stays) or the power too. */
export type Stop = 'kill' | 'power' | 'power-reordered'

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly length: number }

interface DiskImage {
  durable: Buffer
  pending: Change[]
}

export class CrashDisk implements SpillDisk {
  readonly images: Map<string, DiskImage>
  readonly calls: Record<DiskCall, number> = { create: 0, write: 0, truncate: 0, sync: 0, remove: 0, read: 0 }
  /** Asked before each changing call. */
  fault: (call: DiskCall, number: number) => Fault | undefined = () => undefined
  /** The changing call at which the machine stops. */
  stopAt = Number.POSITIVE_INFINITY
  #made = 0

  constructor(images: Map<string, DiskImage> = new Map()) {
    this.images = images
  }

  static of(files: Readonly<Record<string, Buffer>>): CrashDisk {
    return new CrashDisk(
      new Map(Object.entries(files).map(([name, durable]) => [name, { durable, pending: [] }])),
    )
  }

  get stopped(): boolean {
    return this.#made >= this.stopAt
  }

  /** The changing calls so far. */
  get made(): number {
    return this.#made
  }

  async list(): Promise<string[]> {
    return [...this.images.keys()]
  }

  async readFile(name: string): Promise<Buffer> {
    return contentOf(this.#image(name))
  }

  async create(name: string, content: Buffer): Promise<SpillFile> {
    if (this.images.has(name)) throw Object.assign(new Error('exists'), { code: 'EEXIST' })
    if (await this.#begin('create')) {
      this.images.set(name, { durable: Buffer.alloc(0), pending: [{ at: 0, bytes: content }] })
      return new Promise(() => {})
    }
    this.images.set(name, { durable: content, pending: [] })
    return this.#file(name)
  }

  async open(name: string): Promise<SpillFile> {
    this.#image(name)
    return this.#file(name)
  }

  async remove(name: string): Promise<void> {
    if (await this.#begin('remove')) return new Promise(() => {})
    this.images.delete(name)
  }

  /** What the next process finds. `pick(n)` chooses a number from 0 to n. */
  afterStop(how: Stop, pick: (most: number) => number): CrashDisk {
    const images = new Map<string, DiskImage>()
    for (const [name, { durable, pending }] of this.images) {
      const kept =
        how === 'kill' ? pending : how === 'power' ? prefix(pending, pick) : scattered(pending, pick)
      images.set(name, { durable: contentOf({ durable, pending: kept }), pending: [] })
    }
    return new CrashDisk(images)
  }

  /** True: the machine stops during this call. A call after that never returns. */
  async #begin(call: DiskCall): Promise<boolean> {
    if (this.stopped) return new Promise(() => {})
    this.calls[call]++
    this.#made++
    if (this.stopped) return true
    const fault = this.fault(call, this.#made)
    if (fault) throw failure(fault)
    return false
  }

  #image(name: string): DiskImage {
    const image = this.images.get(name)
    if (!image) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    return image
  }

  #file(name: string): SpillFile {
    const change = async (
      call: DiskCall,
      wanted: Change,
      cut: (written: number) => Change,
    ): Promise<void> => {
      const image = this.#image(name)
      try {
        if (!(await this.#begin(call))) {
          image.pending.push(wanted)
          return
        }
      } catch (error) {
        if (error instanceof Error && 'fault' in error) {
          const { written } = error.fault as Fault
          if (written) image.pending.push(cut(written))
        }
        throw error
      }
      image.pending.push(cut(Math.floor(stopShare * ('bytes' in wanted ? wanted.bytes.length : 0))))
      return new Promise(() => {})
    }
    const stopShare = (this.#made * 0.618) % 1
    return {
      write: (bytes, at) =>
        change('write', { at, bytes: Buffer.from(bytes) }, (written) => ({
          at,
          bytes: Buffer.from(bytes.subarray(0, written)),
        })),
      truncate: (length) => change('truncate', { length }, () => ({ length })),
      sync: async () => {
        const image = this.#image(name)
        if (await this.#begin('sync')) return new Promise(() => {})
        image.durable = contentOf(image)
        image.pending = []
      },
      read: async (position, length) => contentOf(this.#image(name)).subarray(position, position + length),
      close: async () => {},
    }
  }
}

function failure(fault: Fault): Error {
  return Object.assign(new Error(`${fault.code}: injected`), { code: fault.code, fault })
}

function contentOf({ durable, pending }: DiskImage): Buffer {
  let content = durable
  for (const change of pending) {
    if ('length' in change) content = Buffer.from(content.subarray(0, change.length))
    else {
      const grown = Buffer.alloc(Math.max(content.length, change.at + change.bytes.length))
      content.copy(grown)
      change.bytes.copy(grown, change.at)
      content = grown
    }
  }
  return content
}

/** Changes reached the disk in order, up to a byte. */
function prefix(pending: readonly Change[], pick: (most: number) => number): Change[] {
  const whole = pick(pending.length)
  const kept = pending.slice(0, whole)
  const next = pending[whole]
  if (next && 'bytes' in next)
    kept.push({ at: next.at, bytes: next.bytes.subarray(0, pick(next.bytes.length)) })
  return kept
}

/** Changes reached the disk in pieces and in any order: what is missing in between reads as zeros. */
function scattered(pending: readonly Change[], pick: (most: number) => number): Change[] {
  const PIECE = 64
  return pending.flatMap((change): Change[] => {
    if ('length' in change) return pick(1) === 1 ? [change] : []
    const pieces: Change[] = []
    for (let from = 0; from < change.bytes.length; from += PIECE) {
      if (pick(1) === 1)
        pieces.push({ at: change.at + from, bytes: change.bytes.subarray(from, from + PIECE) })
    }
    return pieces
  })
}
