/**
 * Opens and closes ports and then has nothing left to do: a forgotten socket would keep this
 * process alive. Prints what is still open, and any unhandled rejection.
 */
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'

const sources = JSON.parse(process.env.SOURCES ?? '[]') as RedisSource[]
process.on('unhandledRejection', (error) => console.log('UNHANDLED', error))

const deadline = 200
for (const source of sources) {
  const early = connectRedis(source)
  await early.close()

  const port = connectRedis(source)
  await port.ready(1_000).catch(() => {})
  const node = port.nodeFor('k')
  node.bus.subscribe(['c'], { message() {}, gap() {}, open() {} })
  await node.send(['SET', 'k', 'v'], { deadline }).catch(() => {})
  await node.bus.ping(deadline).catch(() => {})
  // Nobody looks at these: they must not become unhandled rejections of ours.
  const left = [node.send(['BLPOP', 'none', '0'], { deadline: 60_000 }), port.ready(60_000)]
  for (const promise of left) promise.catch(() => {})
  await port.close()
  await port.close()
  await Promise.allSettled(left)
}
// Half-open sockets of attempts that were given up may take as long as the handshake to close.
await new Promise((resolve) => setTimeout(resolve, 50))
const own = new Set(['PipeWrap', 'TTYWrap', 'Timeout', 'Immediate', 'MessagePort', 'FSReqPromise'])
console.log('OPEN', JSON.stringify(process.getActiveResourcesInfo().filter((name) => !own.has(name))))
