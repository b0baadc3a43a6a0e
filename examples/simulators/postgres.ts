/**
 * A real PostgreSQL without an installation: PGlite (PostgreSQL compiled to WebAssembly, in memory)
 * behind a loopback port, so that any process can use it through `pg` and a `postgres://` URL.
 */
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import { listen } from './listen.ts'

export interface Postgres {
  readonly url: string
  /** From now on each statement, or transaction, begins so many ms later; they wait side by side. */
  slowDown(ms: number): void
  close(): Promise<void>
}

export async function startPostgres(): Promise<Postgres> {
  const database = await PGlite.create()
  const turns = new Turns()
  const server = createServer((socket) => serve(database, turns, socket))
  const { port, close } = await listen(server)
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    slowDown(ms) {
      turns.delayMs = ms
    },
    async close() {
      await close()
      await database.close()
    },
  }
}

const TERMINATE = 'X'.charCodeAt(0)
const IDLE = 'I'.charCodeAt(0)

/** PGlite is one session, so a connection keeps its turn until its transaction is over. */
function serve(database: PGlite, turns: Turns, socket: Socket): void {
  let release: (() => void) | undefined
  let work = Promise.resolve()
  const answer = async (message: Buffer) => {
    if (message[0] === TERMINATE) return
    release ??= await turns.take()
    const reply = await database.execProtocolRaw(message)
    socket.write(reply)
    // The last byte of ReadyForQuery: I = idle, T = in a transaction, E = in a failed one.
    if (reply.at(-1) !== IDLE) return
    release()
    release = undefined
  }
  socket.on('data', (message) => {
    work = work
      .then(() => answer(message))
      .catch(() => {
        socket.destroy()
      })
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    work = work.then(async () => {
      if (!release) return
      if (!database.closed) await database.exec('rollback')
      release()
    })
  })
}

class Turns {
  delayMs = 0
  #last: Promise<void> = Promise.resolve()

  async take(): Promise<() => void> {
    if (this.delayMs > 0) await sleep(this.delayMs)
    const before = this.#last
    const { promise, resolve } = deferred()
    this.#last = promise
    await before
    return resolve
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

// Forked, it works beside its parent instead of in its event loop; a number is heard as `slowDown`.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { url, slowDown, close } = await startPostgres()
  process.on('message', (ms) => slowDown(Number(ms)))
  process.once('disconnect', () => void close())
  process.send?.({ database: url, ready: true })
}
