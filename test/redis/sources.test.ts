import { Cluster as Cluster6, Redis as Redis6 } from 'ioredis'
import { createClient, createClientPool, createCluster } from 'redis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import { readOptions } from '../../src/redis/options.ts'
import { startCluster } from '../support/cluster.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const DEADLINE = { deadline: 2_000 }

describe('the URL forms', () => {
  const table: [
    string,
    { host: string; port: number; username?: string; password?: string; db?: number; tls?: true },
  ][] = [
    ['redis://localhost', { host: 'localhost', port: 6379 }],
    ['redis://localhost:6380/2', { host: 'localhost', port: 6380, db: 2 }],
    ['redis://:secret@localhost:6379', { host: 'localhost', port: 6379, password: 'secret' }],
    [
      'redis://user:secret@localhost:6379/0',
      { host: 'localhost', port: 6379, username: 'user', password: 'secret' },
    ],
    [
      'rediss://default:token@eu1.cloud.example:33079',
      { host: 'eu1.cloud.example', port: 33079, username: 'default', password: 'token', tls: true },
    ],
    ['redis://:p%40ss%3Aw%2Frd%25@h:1', { host: 'h', port: 1, password: 'p@ss:w/rd%' }],
    ['redis://[::1]:7000', { host: '::1', port: 7000 }],
    ['valkeys://h', { host: 'h', port: 6379, tls: true }],
  ]
  it.each(table)('%s is understood [S4-46]', (url, want) => {
    const plan = readOptions({ url })
    expect(plan).toMatchObject({ kind: 'single', at: { host: want.host, port: want.port } })
    expect(plan.access).toMatchObject({ username: want.username, password: want.password, db: want.db ?? 0 })
    expect(plan.access.tls !== undefined).toBe(want.tls === true)
  })

  const secret = 's3cr3t'
  const wrong: [string, RedisSource][] = [
    ['an unknown scheme', `http://:${secret}@localhost:6379`],
    ['no URL at all', 'localhost:6379'],
    ['a database that is no number', `redis://:${secret}@localhost/one`],
    ['a password that is not percent-encoded', `redis://:${secret}%zz@localhost`],
    ['a database in a cluster', { cluster: [`redis://:${secret}@localhost:7000/1`] }],
    ['no server', {}],
    ['two servers', { url: `redis://:${secret}@localhost`, host: 'localhost' }],
    ['a misspelt option', { host: 'localhost', passwort: secret } as RedisSource],
    ['sentinels without a name', { sentinels: ['localhost'], password: secret }],
    ['an empty list', { cluster: [] }],
    ['a port out of range', { host: 'localhost', port: 70_000, password: secret }],
    ['tls said and unsaid', { url: `rediss://:${secret}@localhost`, tls: false }],
    ['an unknown library', { host: 'localhost', library: 'redix' } as unknown as RedisSource],
    ['a number', 6379 as unknown as RedisSource],
    ['a client of another library', { on() {} }],
  ]
  it.each(wrong)('%s is refused at once, and no secret is shown [S4-47]', (_, source) => {
    let refused: unknown
    try {
      void connectRedis(source).close()
    } catch (error) {
      refused = error
    }
    expect(refused).toMatchObject({ code: expect.stringMatching(/^(CONFIG|INVALID_OPTION)$/) })
    expect(String(refused)).not.toContain(secret)
  })

  it('refuses a pool of node-redis, which cannot subscribe', () => {
    expect(() => connectRedis(createClientPool())).toThrow(/pool/)
  })
})

describe("a client of the user's", () => {
  let redis: RedisServer
  beforeEach(async () => {
    redis = await startRedis({ password: 'pw', config: ['databases 4'] })
  })
  afterEach(() => redis.stop())

  const ours = async () => {
    const list = String(await redis.cli('CLIENT', 'LIST'))
      .trim()
      .split('\n')
    return list.filter((line) => !line.includes('cmd=client')).length
  }

  const clients = {
    'node-redis': async () => {
      const client = createClient({ url: `redis://:pw@127.0.0.1:${redis.port}/3`, name: 'users-own' })
      client.on('error', () => {})
      await client.connect()
      const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)])
      return {
        client,
        state: () =>
          JSON.stringify([
            client.isReady,
            client.options.commandsQueueMaxLength,
            client.options.disableOfflineQueue,
            client.options.socket,
            listeners(),
          ]),
        set: (key: string, value: string) => client.set(key, value) as Promise<unknown>,
        end: () => client.destroy(),
      }
    },
    ioredis: async () => {
      const client = new Redis6({
        host: '127.0.0.1',
        port: redis.port,
        password: 'pw',
        db: 3,
        keyPrefix: 'users:',
      })
      await client.ping()
      const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)])
      return {
        client,
        state: () => JSON.stringify([client.status, client.options, listeners()]),
        set: (key: string, value: string) => client.set(key, value) as Promise<unknown>,
        end: () => client.disconnect(),
      }
    },
  }

  it.each(Object.keys(clients) as (keyof typeof clients)[])(
    '%s is neither used, changed nor closed; one connection beside it, two with a push connection [S0-29][S2-20]',
    async (kind) => {
      const own = await clients[kind]()
      const before = own.state()
      expect(await ours()).toBe(1)
      const port = connectRedis(own.client)
      await port.ready(3_000)
      const node = port.nodeFor('k')
      await Promise.all(Array.from({ length: 1_000 }, () => node.send(['SET', 'k', 'v'], DEADLINE)))
      expect(await ours()).toBe(2)
      node.bus.subscribe(['c'], { message() {}, gap() {}, open() {} })
      await until('the bus is open', () => node.bus.isOpen)
      expect(await ours()).toBe(3)
      // Its database and login are taken over, its key prefix is not.
      expect(await redis.cli('EXISTS', 'k')).toBe(0)
      const db3 = await redis.connect()
      await db3.send('SELECT', '3')
      expect(await db3.send('EXISTS', 'k')).toBe(1)
      db3.close()
      expect(own.state()).toBe(before)
      await port.close()
      await until('our connections are gone', async () => (await ours()) === 1)
      await own.set('still', 'works')
      expect(own.state()).toBe(before)
      own.end()
    },
  )

  it('is dialled by its own configuration while it is not connected itself', async () => {
    const client = createClient({ socket: { host: '127.0.0.1', port: redis.port }, password: 'pw', RESP: 2 })
    const port = connectRedis(client)
    await port.ready(3_000)
    const node = port.nodeFor('k')
    // RESP 2, as the user wishes: only pings may be sent on the push connection.
    const got: string[] = []
    node.bus.subscribe(['c'], { message: (message) => got.push(message), gap() {}, open() {} })
    await until('the bus is open', () => node.bus.isOpen)
    await node.send(['PUBLISH', 'c', 'm'], DEADLINE)
    await node.bus.ping(1_000)
    expect(got).toEqual(['m'])
    expect(client.isOpen).toBe(false)
    await port.close()
  })

  it('gives its TLS settings, its login and its database to our connections, by either library', async () => {
    const secure = await startRedis({ tls: true, password: 'pw' })
    const { ca } = secure.tls!
    const node = createClient({ url: `rediss://:pw@localhost:${secure.port}/1`, socket: { tls: true, ca } })
    const io = new Redis6(`rediss://:pw@localhost:${secure.port}/1`, { tls: { ca }, lazyConnect: true })
    for (const client of [node, io]) {
      const port = connectRedis(client, { handshakeMs: 2_000 })
      await port.ready(4_000)
      expect(await port.nodeFor('k').send(['CLIENT', 'INFO'], DEADLINE)).toMatch(/ db=1 /)
      await port.close()
    }
    await secure.stop()
  })

  it('gives the login and the address map of a cluster client to our connections, by either library', async () => {
    const cluster = await startCluster({ server: { password: 'pw' } })
    const [first] = cluster.nodes
    // Announced addresses that cannot be reached from here are mapped, as behind NAT.
    const map = Object.fromEntries(
      cluster.nodes.map(({ port }) => [`127.0.0.1:${port}`, { host: 'localhost', port }]),
    )
    const clients = [
      createCluster({ rootNodes: [{ url: first!.url }], defaults: { password: 'pw' }, nodeAddressMap: map }),
      createCluster({ rootNodes: [{ url: first!.url }], nodeAddressMap: (address) => map[address]! }),
      new Cluster6([{ host: '127.0.0.1', port: first!.port }], {
        redisOptions: { password: 'pw' },
        natMap: map,
        lazyConnect: true,
      }),
    ]
    for (const client of clients) {
      const port = connectRedis(client)
      await port.ready(4_000)
      for (const key of ['a', 'b', 'c']) await port.nodeFor(key).send(['SET', key, 'v'], DEADLINE)
      expect(
        port
          .nodes()
          .map((node) => node.address)
          .sort(),
      ).toEqual(Object.keys(map).sort())
      await port.close()
    }
    await cluster.stop()
  })
})
