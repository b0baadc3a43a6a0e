import type { Clock } from '../base/clock.ts'
import { ConfigError, HoldfastError } from '../base/errors.ts'
import { connectRedis } from '../redis/connect.ts'
import type { RedisOptions } from '../redis/options.ts'
import type { Role, Trouble } from './evidence.ts'
import type { Source } from './source.ts'
import { within } from './within.ts'

type Answer = Omit<Trouble, 'role' | 'detail'>

/** Redis refuses even PING then, so nobody gets a connection. */
export const SAVE_FAILED = {
  cause: 'it cannot write to its disk: full, read-only, or not its own directory',
  mend: 'look at its log, free the disk or correct the owner of its dir; then BGSAVE. Do not set stop-writes-on-bgsave-error no: it hides the loss',
} as const

const PROBE_MS = 1_500

/** What redis.conf makes of a variable: itself, since it knows none. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: the text itself is looked for
const LITERALS = ['${REDIS_PASSWORD}', '$REDIS_PASSWORD']

const NOT_TLS: Answer = {
  check: 'D3',
  cause: 'TLS was asked for (rediss:// or REDIS_SSL=true), and the server speaks plain text on this port',
  mend: 'write redis:// for plain text, or give the server a tls-port and use that',
}

const KNOWN: readonly (readonly [RegExp, Answer])[] = [
  [/MISCONF/, { check: 'D14', ...SAVE_FAILED }],
  [
    /max(?:imum)? number of clients/i,
    {
      check: 'D15',
      cause: 'maxclients is reached: other processes hold all connections',
      mend: 'find who does with CLIENT LIST, or raise maxclients',
    },
  ],
  [
    /NOAUTH|Authentication required/i,
    {
      check: 'D2',
      cause: 'the server asks for a password and none was given',
      mend: 'put it into REDIS_URL as redis://:password@host, or set REDIS_PASSWORD',
    },
  ],
  [
    /AUTH .*called without any password|no password is set/i,
    {
      check: 'D2',
      cause: 'a password was given, and the server has none: its requirepass did not take effect',
      mend: 'check that the server read its configuration: --requirepass "$REDIS_PASSWORD" on its command line; or take the password away here',
    },
  ],
  [
    /DB index|SELECT is not allowed/i,
    {
      check: 'D5',
      cause: 'the server has no database of this number; a cluster has only 0',
      mend: 'leave the number out of REDIS_URL, and keep applications apart by HOLDFAST_NAMESPACE',
    },
  ],
  [
    /NOPERM|does not let us ask/i,
    {
      check: 'D19',
      cause: 'the ACL of the user does not allow INFO, TIME and PING',
      mend: 'ACL SETUSER <user> +info +time +ping, and the other commands of the security page',
    },
  ],
  [/does not speak TLS/i, NOT_TLS],
  [
    /TLS certificate/i,
    {
      check: 'D3',
      cause: 'its certificate is not signed by an authority that is known here, or is for another name',
      mend: 'give the authority as tls.ca (or NODE_EXTRA_CA_CERTS), and connect by the name in the certificate',
    },
  ],
  [
    /does not speak the Redis protocol/i,
    {
      check: 'D1',
      cause: 'another service has this port',
      mend: 'see who (lsof -i :<port>), and correct host and port; the compose file publishes the cache on 6380',
    },
  ],
  [
    /is a replica/i,
    {
      check: 'D5',
      cause: 'a replica refuses writes, and may be behind',
      mend: 'connect to the master, or to the sentinels, which know where it is',
    },
  ],
  [
    /does not tell its role|is a sentinel/i,
    {
      check: 'D5',
      cause: 'a sentinel answers there, and it keeps no data',
      mend: 'give redis: { sentinels: […], name } so that it is asked for the master',
    },
  ],
  [
    /LOADING/i,
    {
      check: 'D1',
      cause: 'the server still reads its data from disk',
      mend: 'wait; its log says how far it is',
    },
  ],
  [
    /ECONNREFUSED/i,
    {
      check: 'D1',
      cause: 'nothing listens on this port: the server is not running, or has another port',
      mend: 'start it (docker compose up -d, or redis-server), and compare host and port: 6379 by default, 6380 where 6379 was taken',
    },
  ],
  [
    /ENOTFOUND|EAI_AGAIN/i,
    {
      check: 'D1',
      cause: 'the name of the host is unknown here',
      mend: 'correct it; names of compose services are known to containers only: from the host it is localhost',
    },
  ],
  [
    /EACCES|ENOENT/i,
    {
      check: 'D1',
      cause: 'the socket is not there or may not be opened',
      mend: 'check unixsocket and unixsocketperm',
    },
  ],
]

const SILENT: Answer = {
  check: 'D1',
  cause: 'nobody answers: a firewall drops the packets, the address is wrong, or the server is frozen',
  mend: 'try it from this machine: redis-cli -u <url> ping; then look at firewall, security group and the log of the server',
}

/** Explains why a role could not be reached; asks once more in another way where that tells more. */
export async function explainTrouble(
  role: Role,
  error: unknown,
  target: string,
  source: Source | undefined,
  clock: Clock,
): Promise<Trouble> {
  const text = error instanceof Error ? error.message : String(error)
  const detail = whatOf(error)
  const answer = await answerTo(text, source, clock)
  return { role, detail: detail.includes(target) ? detail : `${target}: ${detail}`, ...answer }
}

async function answerTo(text: string, source: Source | undefined, clock: Clock): Promise<Answer> {
  if (/WRONGPASS|invalid (?:username|password)/i.test(text)) return wrongPassword(source, clock)
  const known = KNOWN.find(([pattern]) => pattern.test(text))
  if (known) return known[1]
  if (source?.access.tls && (await answers(source, { tls: false, password: undefined }, clock)))
    return NOT_TLS
  const anyTls = { tls: { rejectUnauthorized: false }, password: undefined }
  if (source && !source.access.tls && (await answers(source, anyTls, clock))) {
    return {
      check: 'D3',
      cause: 'the server speaks TLS on this port, and the connection is plain text',
      mend: 'write rediss:// in REDIS_URL, or REDIS_SSL=true',
    }
  }
  return SILENT
}

async function wrongPassword(source: Source | undefined, clock: Clock): Promise<Answer> {
  for (const literal of LITERALS) {
    if (source === undefined || (await outcomeOf(source, { password: literal }, clock)) !== 'in') continue
    return {
      check: 'D2',
      cause: `the password of the server is the text ${literal} itself: redis.conf knows no variables`,
      mend: 'pass it on the command line, where the shell puts it in: redis-server --requirepass "$REDIS_PASSWORD"',
    }
  }
  return {
    check: 'D2',
    cause:
      'the user name or the password is wrong, or a special character in REDIS_URL is not percent-encoded',
    mend: 'correct it; in a URL write @ : / ? # % as %40 %3A %2F %3F %23 %25',
  }
}

const answers = async (source: Source, change: Change, clock: Clock): Promise<boolean> =>
  (await outcomeOf(source, change, clock)) !== 'out'

type Change = Pick<RedisOptions, 'password' | 'tls'>

/** One more attempt, in another way: let in, known at least to speak so, or neither. Nothing is written. */
async function outcomeOf(
  { plan, access }: Source,
  change: Change,
  clock: Clock,
): Promise<'in' | 'door' | 'out'> {
  if (plan.kind !== 'single' || access.path) return 'out'
  const username = 'tls' in change ? undefined : access.username
  const port = connectRedis(
    { host: plan.at.host, port: plan.at.port, tls: access.tls ?? false, username, ...change },
    { clock, handshakeMs: PROBE_MS },
  )
  try {
    const ready = port.ready(PROBE_MS).then(() => 'in' as const)
    if ((await within(clock, PROBE_MS * 2, ready, 'out')) === 'out') return 'out'
    return 'in'
  } catch (error) {
    // Whoever asks for a password has understood us.
    return error instanceof ConfigError && /refused the login/.test(error.message) ? 'door' : 'out'
  } finally {
    await port.close()
  }
}

/** What is wrong, without how our own errors would mend it. */
export function whatOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const cut = error instanceof HoldfastError ? text.lastIndexOf(`; ${error.mend} [`) : -1
  return cut < 0 ? text : text.slice(0, cut)
}
