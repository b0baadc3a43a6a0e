import { Closed, ConfigError } from '../base/errors.ts'
import type { RedisPort } from './port.ts'

/** How long the first calls of a process wait for its first connection, in ms. */
export const FIRST_CONNECTION_MS = 1_000

/**
 * Waited in slices: a program that is busy loading itself for seconds uses up one slice by that, not
 * the whole patience. Our own lag is not the server's silence.
 */
const SLICE_MS = 50

const openings = new WeakMap<RedisPort, Promise<void> | 'over'>()

/**
 * At the start of a process: resolves when every node was connected once, when that cannot help any
 * more, or after a second at most. Never rejects. `undefined`, at no cost, ever after: a connection
 * that was lost is not waited for. To be called before a deadline or a lease begins to run.
 */
export function firstConnection(port: RedisPort): Promise<void> | undefined {
  const known = openings.get(port)
  if (known !== undefined) return known === 'over' ? undefined : known
  const nodes = port.nodes()
  if (nodes.length > 0 && nodes.every((node) => node.generation > 0)) {
    openings.set(port, 'over')
    return undefined
  }
  const opening = open(port).finally(() => openings.set(port, 'over'))
  openings.set(port, opening)
  return opening
}

async function open(port: RedisPort): Promise<void> {
  for (let waited = 0; waited < FIRST_CONNECTION_MS; waited += SLICE_MS) {
    try {
      return await port.ready(SLICE_MS)
    } catch (error) {
      // A wrong password or a closed instance: no connection will come of it.
      if (error instanceof ConfigError || error instanceof Closed) return
    }
  }
}
