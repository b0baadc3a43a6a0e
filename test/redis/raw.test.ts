import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidKey, RedisReplyError } from '../../src/base/errors.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

describe('commands of your own', () => {
  let redis: RedisServer
  let hf: Holdfast
  beforeAll(async () => {
    redis = await startRedis()
    hf = holdfast({ redis: redis.url, namespace: 'shop' })
  })
  afterAll(async () => {
    await hf.close()
    await redis.stop()
  })

  it('reach strings, hashes and sorted sets under our prefix [S4-42]', async () => {
    const { command } = hf.redis!
    expect(await command('SET', 'greeting', 'hello', 'PX', '60000')).toBe('OK')
    expect(await command('HSET', 'user:123', 'name', 'Ada', 'city', 'Hanoi')).toBe(2)
    expect(await command('HGET', 'user:123', 'name')).toBe('Ada')
    expect(await command('ZADD', 'leaderboard', '10', 'ada', '20', 'bob')).toBe(2)
    expect(await command('ZREVRANGE', 'leaderboard', '0', '0')).toEqual(['bob'])
    expect(await redis.cli('TYPE', 'hf:shop:raw:{leaderboard}')).toBe('zset')
    expect(await redis.cli('EXISTS', 'leaderboard')).toBe(0)
  })

  it('are not touched by clearing the cache [S2-17]', async () => {
    await hf.redis!.command('SET', 'kept', '1')
    await hf.cache.clear()
    expect(await hf.redis!.command('GET', 'kept')).toBe('1')
  })

  it('refuse a bad key before anything is sent, and say what the server refused', async () => {
    await expect(hf.redis!.command('GET', '')).rejects.toBeInstanceOf(InvalidKey)
    await expect(hf.redis!.command('INCR', 'user:123')).rejects.toBeInstanceOf(RedisReplyError)
  })

  it('do not exist in process memory', async () => {
    const embedded = holdfast()
    expect(embedded.redis).toBeUndefined()
    await embedded.close()
  })
})
