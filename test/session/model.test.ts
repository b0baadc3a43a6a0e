import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import type { Session } from '../../src/session/session.ts'
import { createSessions, type Sessions } from '../../src/session/sessions.ts'
import { PATIENT } from '../support/patience.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

type Data = { a?: number | undefined; b?: string | undefined }

/** One step on the session made by the `at`-th create, or on a user. */
type Step =
  | { op: 'create'; user: number | undefined; data: Data }
  | { op: 'load' | 'save' | 'destroy' | 'regenerate' | 'login' | 'late'; at: number; n: number }
  | { op: 'revoke' | 'list'; user: number }

const user = fc.nat(1)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    op: fc.constant('create' as const),
    user: fc.option(user, { nil: undefined }),
    data: fc.record({ a: fc.nat(9), b: fc.string({ maxLength: 5 }) }, { requiredKeys: [] }),
  }),
  fc.record({
    op: fc.constantFrom('load', 'save', 'destroy', 'regenerate', 'login', 'late'),
    at: fc.nat(4),
    n: fc.nat(9),
  }),
  fc.record({ op: fc.constantFrom('revoke', 'list'), user }),
)

/** Runs the steps and writes down everything that an application could see, ids apart. */
async function play(sessions: Sessions<Data>, steps: readonly Step[], salt: string): Promise<unknown[]> {
  const seen: unknown[] = []
  const ids: string[] = []
  const held: (Session<Data> | undefined)[] = []
  const name = (n: number) => `user-${n}-${salt}`
  for (const each of steps) {
    if ('data' in each) {
      const options = each.user === undefined ? {} : { user: name(each.user) }
      const made = await sessions.create({ ...each.data }, options)
      ids.push(made.id)
      held.push(await sessions.load(made.id))
      seen.push('created')
    } else if (each.op === 'revoke') seen.push(await sessions.revokeUser(name(each.user)))
    else if (each.op === 'list') seen.push((await sessions.listByUser(name(each.user))).length)
    else if ('at' in each && ids.length > 0) {
      const at = each.at % ids.length
      const session = await sessions.load(ids[at])
      seen.push(session ? [{ ...session.data }, session.user?.slice(0, 6)] : 'gone')
      if (each.op === 'destroy') seen.push(await sessions.destroy(ids[at]!))
      // A request that loaded the session long ago.
      const target = each.op === 'late' ? held[at] : session
      if (!target || each.op === 'load' || each.op === 'destroy') continue
      if (each.op === 'save' || each.op === 'late') {
        seen.push(await sessions.update(target, each.n % 3 ? { a: each.n } : { b: undefined }))
      } else if (each.op === 'regenerate') seen.push(await sessions.regenerate(target))
      else seen.push(await sessions.regenerate(target, { user: name(each.n % 2) }))
      if (each.op === 'login') ids[at] = target.id
    }
  }
  return seen
}

describe('sessions in Redis and in memory', () => {
  let redis: RedisServer
  let port: RedisPort
  beforeAll(async () => {
    redis = await startRedis()
    port = connectRedis(redis.url, PATIENT)
    await port.ready(10_000)
  })
  afterAll(async () => {
    await port.close()
    await redis.stop()
  })

  it.each([
    ['plain', {}],
    ['encrypted', { encryption: { keys: { k: Buffer.alloc(32, 5).toString('base64') } } }],
  ])(
    'show the same to any sequence of steps: %s [L27] [L28]',
    async (kind, options) => {
      let round = 0
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
          const salt = `${kind}${round++}`
          const shared = createSessions<Data>({ redis: port, name: salt, deadline: '10s', ...options })
          const own = createSessions<Data>({ name: salt, ...options })
          expect(await play(shared, steps, salt)).toEqual(await play(own, steps, salt))
        }),
        { numRuns: 150 },
      )
    },
    120_000,
  )
})
