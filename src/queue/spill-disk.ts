import { type FileHandle, mkdir, open, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * One directory as the spill log uses it, so that tests can be the disk: lose what was not synced,
 * fail with ENOSPC or EIO at any call.
 */
export interface SpillDisk {
  /** Names of the files in the directory. */
  list(): Promise<string[]>
  readFile(name: string): Promise<Buffer>
  /** A new file with this content. Both it and its name are durable when this resolves. */
  create(name: string, content: Buffer): Promise<SpillFile>
  open(name: string): Promise<SpillFile>
  /** Removes the file. Durable when this resolves. */
  remove(name: string): Promise<void>
}

export interface SpillFile {
  /** All of it, or an error: then some of it may be there. */
  write(bytes: Buffer, position: number): Promise<void>
  read(position: number, length: number): Promise<Buffer>
  truncate(length: number): Promise<void>
  /** What was written before is durable when this resolves (fdatasync). */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Only its owner may read a spill file: it holds messages. */
const DIRECTORY_MODE = 0o700
const FILE_MODE = 0o600

/** The directory `path`, made where it is missing. */
export async function nodeDisk(path: string): Promise<SpillDisk> {
  await mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
  const syncDirectory = async (): Promise<void> => {
    // Windows opens no directories; its file system orders names by itself.
    if (process.platform === 'win32') return
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  return {
    async list() {
      const entries = await readdir(path, { withFileTypes: true })
      return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
    },
    readFile: (name) => readFile(join(path, name)),
    async create(name, content) {
      const file = new NodeFile(await open(join(path, name), 'wx+', FILE_MODE))
      try {
        await file.write(content, 0)
        await file.sync()
        await syncDirectory()
      } catch (error) {
        await file.close()
        await unlink(join(path, name))
        throw error
      }
      return file
    },
    open: async (name) => new NodeFile(await open(join(path, name), 'r+')),
    async remove(name) {
      await unlink(join(path, name))
      await syncDirectory()
    },
  }
}

class NodeFile implements SpillFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done)
      done += bytesWritten
    }
  }

  async read(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return bytes.subarray(0, done)
  }

  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length)
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}
