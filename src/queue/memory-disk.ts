import type { SpillDisk, SpillFile } from './spill-disk.ts'

/**
 * A directory in the memory of this process: what embedded queues use that were given no directory.
 * All rules of the log hold but the one: it ends with the process.
 */
export function memoryDisk(): SpillDisk {
  const files = new Map<string, MemoryFile>()
  const named = (name: string): MemoryFile => {
    const file = files.get(name)
    if (!file) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    return file
  }
  return {
    list: async () => [...files.keys()],
    readFile: async (name) => named(name).content(),
    async create(name, content) {
      const file = new MemoryFile()
      await file.write(content, 0)
      files.set(name, file)
      return file
    },
    open: async (name) => named(name),
    async remove(name) {
      files.delete(name)
    },
  }
}

class MemoryFile implements SpillFile {
  #bytes = Buffer.alloc(0)
  #length = 0

  content(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length))
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    const end = position + bytes.length
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(end, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, this.#length)
      this.#bytes = grown
    }
    bytes.copy(this.#bytes, position)
    this.#length = Math.max(this.#length, end)
  }

  async read(position: number, length: number): Promise<Buffer> {
    // A copy: what is read must not change when the file grows or is written over.
    return Buffer.from(this.#bytes.subarray(position, Math.min(position + length, this.#length)))
  }

  async truncate(length: number): Promise<void> {
    this.#length = Math.min(this.#length, length)
  }

  async sync(): Promise<void> {}

  async close(): Promise<void> {}
}
