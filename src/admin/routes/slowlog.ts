import { RedisReplyError } from '../../base/errors.ts'
import { redactName } from '../../base/key.ts'
import type { Reply } from '../../redis/link.ts'
import type { SlowCommand } from '../answers/slowlog.ts'
import { Refused } from '../problem.ts'
import { iso, wholeNumber } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

const DEADLINE_MS = 2_000
const ROLES = ['cache', 'data'] as const

export const slowlogRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/slowlog',
    permission: 'slowlog',
    summary: 'Slow commands of the servers, newest first, with keys redacted and values left out.',
    query: { limit: 'Most of each server, 1 to 128.' },
    answers: 'array',
    handle: slowlog,
  },
]

async function slowlog({ hf, query }: RouteContext): Promise<readonly SlowCommand[]> {
  const count = String(wholeNumber(query, 'limit', 32, 128))
  if (!hf.redis) return []
  const { redis } = hf
  // Two roles of one source share their connection.
  const ports = new Map(ROLES.toReversed().map((role) => [redis.port(role), role] as const))
  const looks = [...ports].flatMap(([port, role]) =>
    port.nodes().map(async (node) => {
      const reply = await node.send(['SLOWLOG', 'GET', count], { deadline: DEADLINE_MS })
      return (Array.isArray(reply) ? reply : []).flatMap((row) => commandOf(row, role, node.address) ?? [])
    }),
  )
  try {
    return (await Promise.all(looks)).flat().sort((a, b) => (a.at < b.at ? 1 : -1))
  } catch (error) {
    if (!(error instanceof RedisReplyError)) throw error
    throw new Refused(501, 'The server does not let this user read its slowlog: allow +slowlog|get.')
  }
}

/** `[id, unix seconds, µs, [command, …arguments], …]` */
function commandOf(row: Reply, role: SlowCommand['role'], node: string): SlowCommand | undefined {
  if (!Array.isArray(row) || !Array.isArray(row[3])) return undefined
  const [command = '', ...args] = row[3].map(String)
  return {
    id: Number(row[0]),
    at: iso(Number(row[1]) * 1_000),
    microseconds: Number(row[2]),
    command: command.toUpperCase(),
    keys: keysOf(command.toUpperCase(), args).map(redactKey),
    role,
    node,
  }
}

const KEYLESS =
  /^(?:SCAN|INFO|PING|HELLO|AUTH|CLIENT|CLUSTER|CONFIG|COMMAND|SLOWLOG|SCRIPT|FLUSH(?:ALL|DB)|KEYS|DBSIZE|TIME|WAIT(?:AOF)?|SELECT|ACL|DEBUG|SAVE|BGSAVE|BGREWRITEAOF|PUBLISH|SUBSCRIBE|LATENCY|MEMORY|MODULE|REPLCONF|PSYNC|MULTI|EXEC)$/
const ALL_KEYS = /^(?:MGET|DEL|UNLINK|EXISTS|TOUCH|WATCH|SUNION|SINTER|SDIFF|PFCOUNT)$/

function keysOf(command: string, args: readonly string[]): readonly string[] {
  if (KEYLESS.test(command)) return []
  if (/^(?:EVAL|EVALSHA|FCALL)(?:_RO)?$/.test(command)) {
    return args.slice(2, 2 + Math.min(16, Number(args[1]) || 0))
  }
  return ALL_KEYS.test(command) ? args.slice(0, 16) : args.slice(0, 1)
}

/** Of our own keys namespace and kind stay: they say what was slow. */
function redactKey(key: string): string {
  const own = /^(hf:(?:\{[^}]{1,80}\}|[^:{}]{1,80}):[\w-]{1,20}:)(.+)$/s.exec(key)
  return own ? own[1]! + redactName(own[2]!) : redactName(key)
}
