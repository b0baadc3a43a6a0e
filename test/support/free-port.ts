/**
 * Loopback ports for test servers, taken below the range from which the kernel serves outgoing
 * connections: a client that keeps dialling a dead server inside that range can end up connected
 * to itself, and another client's socket can sit on the port when the server wants it back.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const LOWEST = 11_000
const HIGHEST = 31_000

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(LOWEST, HIGHEST)
    if (await isFree(port)) return port
  }
  throw new Error(`no free loopback port between ${LOWEST} and ${HIGHEST}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
