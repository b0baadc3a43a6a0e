import { link, mkdir, readdir, stat, unlink } from 'node:fs/promises'
import { createServer, type Server, Socket } from 'node:net'
import { join, relative } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { QueueUnavailable } from './errors.ts'
import { codeOf } from './node-error.ts'

/**
 * One process owns a spill directory: two that append to one file would tear each other's records.
 *
 * Ownership is a listening local socket `owner.<n>` in the directory. Whether its holder lives is
 * asked of the kernel, by connecting: a dead process refuses, whatever became of its process id,
 * in another container as well; a frozen one still owns. The next owner takes the name with
 * `n + 1`, by a hard link, which fails where the name exists. Names only grow, and the highest one
 * is removed by nobody, so a contender that was slow finds out that it lost.
 *
 * Holds on one host. Several hosts on one network file system cannot see each other's sockets.
 */
export interface SpillOwner {
  release(): Promise<void>
}

const inUse = () =>
  new QueueUnavailable('another process, or another queue of this one, owns the spill directory', {
    mend: 'give each a directory of its own, or end the other one',
  })

const NAME = /^owner\.(\d+)$/
/** Local addresses are short: sun_path has 104 bytes on macOS, 108 on Linux. */
const LONGEST_ADDRESS = 103
const ATTEMPTS = 20
const STALE_MS = 60_000

/** @throws QueueUnavailable when somebody alive owns it, or when the file system cannot say */
export async function ownDirectory(path: string, random: Random): Promise<SpillOwner> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  if (process.platform === 'win32') return ownPipe(path)
  // Made under a name of our own first: the moment it appears as `owner.<n>`, it listens.
  const draft = `draft.${random.id()}`
  const server = await listen(address(path, draft))
  try {
    await takeName(path, draft)
  } catch (error) {
    await closed(server)
    throw error
  } finally {
    await removed(join(path, draft))
  }
  return { release: () => closed(server) }
}

async function takeName(path: string, draft: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const highest = await highestOwner(path)
    if (highest > 0 && (await listens(address(path, `owner.${highest}`)))) throw inUse()
    const mine = highest + 1
    if (!(await linked(path, draft, `owner.${mine}`))) continue
    if ((await highestOwner(path)) === mine) return removeOlder(path, mine, draft)
    // Others came and went since we looked: the name we took is a thing of the past.
    await removed(join(path, `owner.${mine}`))
  }
  throw inUse()
}

async function highestOwner(path: string): Promise<number> {
  const numbers = (await readdir(path)).map((name) => Number(NAME.exec(name)?.[1] ?? 0))
  return Math.max(0, ...numbers)
}

/** Also drafts whose maker died before it could remove them; a living one is done within moments. */
async function removeOlder(path: string, mine: number, draft: string): Promise<void> {
  const { mtimeMs: now } = await stat(join(path, draft))
  for (const name of await readdir(path)) {
    const number = Number(NAME.exec(name)?.[1] ?? mine)
    const stale =
      number < mine || (name.startsWith('draft.') && now - (await changedAt(path, name)) > STALE_MS)
    if (stale) await removed(join(path, name))
  }
}

async function changedAt(path: string, name: string): Promise<number> {
  try {
    return (await stat(join(path, name))).mtimeMs
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return Number.POSITIVE_INFINITY
    throw error
  }
}

/** False: somebody has the name. */
async function linked(path: string, from: string, to: string): Promise<boolean> {
  try {
    await link(join(path, from), join(path, to))
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw new QueueUnavailable('the file system of the spill directory has no hard links', { cause: error })
  }
}

async function removed(file: string): Promise<void> {
  try {
    await unlink(file)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** The shortest way to write the address; a local socket has no room for a long path. */
function address(path: string, name: string): string {
  const full = join(path, name)
  const near = relative(process.cwd(), full)
  const shortest = near.length < full.length ? near : full
  if (Buffer.byteLength(shortest) <= LONGEST_ADDRESS) return shortest
  const room = LONGEST_ADDRESS - name.length - 1
  throw new ConfigError(
    `the path of the spill directory is longer than ${room} bytes`,
    'choose a shorter one: it holds a local socket, and those have short addresses',
  )
}

/** Windows: a pipe of this name exists once, and goes with its process. */
async function ownPipe(path: string): Promise<SpillOwner> {
  const name = Buffer.from(path).toString('base64url').slice(-180)
  try {
    const server = await listen(`\\\\.\\pipe\\holdfast-${name}`)
    return { release: () => closed(server) }
  } catch (error) {
    if (error instanceof QueueUnavailable && codeOf(error.cause) === 'EADDRINUSE') throw inUse()
    throw error
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Nobody has anything to say here: being reachable is the message.
    const server = createServer((socket) => socket.destroy())
    server.once('error', (cause) => {
      reject(new QueueUnavailable('the spill directory cannot hold a local socket', { cause }))
    })
    // `exclusive`: in a cluster worker the primary process would otherwise listen for all of them.
    server.listen({ path, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new Socket()
    const answer = (alive: boolean) => {
      socket.destroy()
      resolve(alive)
    }
    socket.once('connect', () => answer(true))
    // Refused or gone: nobody holds it. Anything else (a full backlog) comes from somebody alive.
    socket.once('error', (error) => answer(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')))
    socket.connect({ path })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
