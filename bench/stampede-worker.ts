import { bentoPeer, cacheablePeer, cacheManagerPeer, holdfastPeer, type Peer } from './cache-peers.ts'

const [url, name, callers] = process.argv.slice(2) as [string, string, string]
const make: Record<string, () => Peer> = {
  holdfast: () => holdfastPeer(url, true, 'stampede'),
  BentoCache: () => bentoPeer(url),
  cacheable: () => cacheablePeer(url),
  'cache-manager': () => cacheManagerPeer(url),
}
const peer = make[name]!()
// Connected and compiled before the signal: the stampede is measured, not the start.
await peer.ready?.()
await peer.getOrSet(`warm-up:${process.pid}`, async () => 1)

process.once('message', async () => {
  let loads = 0
  const started = performance.now()
  const load = async (): Promise<string> => {
    loads++
    await new Promise((resolve) => setTimeout(resolve, 50))
    return 'value'
  }
  await Promise.all(Array.from({ length: Number(callers) }, () => peer.getOrSet('cold', load)))
  process.send?.({ loads, took: performance.now() - started })
})
process.send?.('ready')
