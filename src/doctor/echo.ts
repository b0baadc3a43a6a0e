import { encodePart } from '../base/key.ts'
import type { RedisNode, RedisPort } from '../redis/port.ts'
import { PATIENCE_MS } from './ask.ts'
import { within } from './within.ts'

const OPEN_MS = 2_000
const LOST_MS = 2_000

/** Publishes a word and waits to hear it, the way an invalidation travels. */
export async function echoOf(node: RedisNode, namespace: string, port: RedisPort): Promise<number | 'lost'> {
  const { clock, random } = port
  const channel = `hf:${encodePart(namespace, 'namespace')}:doctor:${random.id()}`
  let open = (): void => {}
  let hear = (_at: number): void => {}
  const opened = new Promise<'open'>((resolve) => {
    open = () => resolve('open')
  })
  const heard = new Promise<number>((resolve) => {
    hear = resolve
  })
  const handler = { message: () => hear(clock.mono()), gap: () => {}, open: () => open() }
  const leave = node.bus.subscribe([channel], handler)
  try {
    if ((await within(clock, OPEN_MS, opened, 'lost')) === 'lost') return 'lost'
    const sent = clock.mono()
    await node.send(['PUBLISH', channel, ''], { deadline: PATIENCE_MS })
    const at = await within(clock, LOST_MS, heard, 'lost' as const)
    return at === 'lost' ? at : Math.max(0, at - sent)
  } catch {
    return 'lost'
  } finally {
    leave()
  }
}
