import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { createSessions } from '../../src/session/sessions.ts'
import { startCluster, type TestCluster } from '../support/cluster.ts'
import { PATIENT } from '../support/patience.ts'

describe('sessions in a cluster', () => {
  let cluster: TestCluster
  let port: RedisPort
  beforeAll(async () => {
    cluster = await startCluster()
    port = connectRedis({ cluster: [...cluster.urls] }, PATIENT)
    await port.ready(20_000)
  })
  afterAll(async () => {
    await port.close()
    await cluster.stop()
  })

  it('keep a session and the index of its user in one slot', async () => {
    const sessions = createSessions({ redis: port, namespace: 'c', name: 'slots', deadline: '5s' })
    for (let n = 0; n < 20; n++) await sessions.create({ n }, { user: `user-${n}` })
    const tags = new Map<string, Set<string>>()
    for (const node of cluster.nodes) {
      for (const key of (await node.cli('KEYS', 'hf:c:session*')) as string[]) {
        const tag = /\{(.+)\}/.exec(key)?.[1] ?? ''
        tags.set(tag, (tags.get(tag) ?? new Set()).add(key.split(':')[2]!))
      }
    }
    expect(tags.size).toBeGreaterThan(10)
    for (const kinds of tags.values()) expect([...kinds].sort()).toEqual(['session', 'session-user'])
  })

  it('go on without an error while their slot moves to another node', async () => {
    const sessions = createSessions({ redis: port, namespace: 'c', name: 'moving', deadline: '10s' })
    const session = await sessions.create({ n: 0 }, { user: 'u' })
    let key = ''
    for (const node of cluster.nodes) {
      key = ((await node.cli('KEYS', 'hf:c:session:{moving*')) as string[])[0] ?? key
    }
    const owner = await cluster.ownerOf(key)
    const target = (cluster.nodes.indexOf(owner) + 1) % cluster.nodes.length
    let moving = true
    const move = cluster.moveSlot(key, target).finally(() => {
      moving = false
    })
    let saves = 0
    do {
      saves++
      expect(await sessions.update(session.id, { n: saves })).toBe(true)
      expect((await sessions.load(session.id))?.data).toEqual({ n: saves })
    } while (moving)
    await move
    expect(await (await cluster.ownerOf(key)).cli('EXISTS', key)).toBe(1)
    expect(await sessions.revokeUser('u')).toBe(1)
    expect(await sessions.load(session.id)).toBeUndefined()
  })
})
