/** A process of an application with sessions; driven by processes.test.ts. */
import { connectRedis } from '../../src/redis/connect.ts'
import { SessionRevoked } from '../../src/session/errors.ts'
import { createSessions } from '../../src/session/sessions.ts'
import { serve } from '../support/processes.ts'

// Generous: many processes start at once on few cores.
const redis = connectRedis(process.env.REDIS_URL ?? '', { handshakeMs: 10_000, deadAfterMs: 10_000 })
const sessions = createSessions<{ n: number }>({
  redis,
  namespace: 'workers',
  name: 'web',
  deadline: '10s',
  touchEvery: Number(process.env.TOUCH_EVERY ?? 60_000),
})
await redis.ready(25_000)

const strings = (given: unknown): string[] => (Array.isArray(given) ? given.map(String) : [])

serve(
  {
    async login({ user, count }) {
      const made = Array.from({ length: Number(count) }, (_, n) =>
        sessions.create({ n }, { user: String(user) }),
      )
      return (await Promise.all(made)).map(({ id }) => id)
    },
    mark: ({ user }) => sessions.mark(String(user)),
    /**
     * What requests do while somebody revokes: use, change and replace the old sessions, log in with
     * and without a mark. The ids that the old ones were replaced by, and those of the logins.
     */
    async storm({ user, ids, mark, revoke }) {
      const replaced: string[] = []
      const logins: string[] = []
      let after: string | undefined
      const use = async (id: string) => {
        const session = await sessions.load(id)
        if (!session) return
        await sessions.update(session, { n: session.data.n + 1 })
        if (await sessions.regenerate(session)) replaced.push(session.id)
      }
      const login = async (with_: string | undefined) => {
        try {
          logins.push((await sessions.create({ n: 0 }, { user: String(user), mark: with_ })).id)
        } catch (error) {
          if (!(error instanceof SessionRevoked)) throw error
        }
      }
      const endAll = async () => {
        await sessions.revokeUser(String(user))
        after = (await sessions.create({ n: 1 }, { user: String(user) })).id
      }
      await Promise.all([
        login(undefined),
        ...strings(ids).map(use),
        ...(revoke ? [endAll()] : []),
        login(String(mark)),
        login(undefined),
      ])
      return { replaced, logins, after }
    },
    async usable({ ids }) {
      const found = await Promise.all(strings(ids).map((id) => sessions.load(id)))
      return found.map((session) => session !== undefined)
    },
    listed: async ({ user }) => (await sessions.listByUser(String(user))).length,
  },
  () => redis.close(),
)
