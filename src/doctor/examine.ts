import cluster from 'node:cluster'
import { type Clock, systemClock } from '../base/clock.ts'
import { HoldfastError } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { Holdfast } from '../face.ts'
import type { HoldfastOptions } from '../options.ts'
import { ROLES } from '../options.ts'
import type { RedisPort } from '../redis/port.ts'
import type { Evidence, Role, ServerEvidence, Trouble } from './evidence.ts'
import type { Report } from './finding.ts'
import { readLast, writeLast } from './history.ts'
import { judge } from './judge.ts'
import { sampleKeys } from './sample.ts'
import { examineServer } from './server.ts'
import { sourceOf } from './source.ts'
import { explainTrouble, whatOf } from './trouble.ts'
import { within } from './within.ts'
import { writeTest } from './write-test.ts'

export interface ExamineOptions {
  /** What `holdfast()` was given as `redis`: without it some of D2, D3 and of a failed connection is a guess. */
  readonly redis?: HoldfastOptions['redis']
  /** Contradictions of the environment: `warnings` of `configFromEnv()`. */
  readonly warnings?: readonly string[] | undefined
  /** How many processes run the application, where that is known. @default 1, in a worker of node:cluster 2 */
  readonly processes?: number | undefined
  /** Where the administration listens. */
  readonly admin?: Evidence['admin']
  /** Cache namespaces whose values may be read by anybody. */
  readonly publicNamespaces?: readonly string[] | undefined
  /** Whether to set, read, expire and delete a value of its own. @default false */
  readonly writeTest?: boolean | undefined
  /** Whether to note a few counters for the next examination, in one small key. @default true */
  readonly remember?: boolean | undefined
  /** How long to wait for a connection, ms. @default 3000 */
  readonly connectMs?: number | undefined
  /** Most own keys to look at. @default 5000 */
  readonly sampleKeys?: number | undefined
  /** @default that of the running Node.js */
  readonly nodeVersion?: string | undefined
  /** For simulation. @default the system's */
  readonly clock?: Clock | undefined
  /** For simulation. @default the system's */
  readonly random?: Random | undefined
}

const NAMES = [
  'redis',
  'warnings',
  'processes',
  'admin',
  'publicNamespaces',
  'writeTest',
  'remember',
  'connectMs',
  'sampleKeys',
  'nodeVersion',
  'clock',
  'random',
]

const SAMPLE_MS = 2_000
const QUEUES_MS = 3_000

/**
 * Examines an instance and the servers behind it: 29 checks, each with cause and mend where something
 * is wrong. Bounded in time (some seconds), whatever the number of keys. Needs no CONFIG, KEYS or MONITOR.
 * @throws InvalidOption for unknown options, Closed
 */
export async function examine(hf: Holdfast, options: ExamineOptions = {}): Promise<Report> {
  refuseUnknown(options, NAMES, 'examine()')
  const evidence = await gather(hf, options)
  if ((options.remember ?? true) && evidence.servers.length > 0) await writeLast(hf, evidence)
  return judge(evidence)
}

/** The report where the configuration cannot even make an instance. */
export function examineRefusal(error: unknown, options: ExamineOptions = {}): Report {
  const mend = error instanceof HoldfastError ? error.mend : 'correct it'
  const refused = { what: whatOf(error), mend }
  return judge({ ...empty(options), driver: 'redis', refused })
}

function empty(options: ExamineOptions): Evidence {
  const { clock = systemClock, nodeVersion = process.versions.node } = options
  return {
    driver: 'embedded',
    servers: [],
    troubles: [],
    sample: undefined,
    namespaces: {},
    queues: [],
    processes: options.processes ?? (cluster.isWorker ? 2 : 1),
    nodeVersion,
    warnings: options.warnings ?? [],
    refused: undefined,
    admin: options.admin,
    last: undefined,
    publicNamespaces: options.publicNamespaces ?? [],
    writeTest: undefined,
    now: clock.wall(),
  }
}

async function gather(hf: Holdfast, options: ExamineOptions): Promise<Evidence> {
  const { clock = systemClock, random = systemRandom } = options
  const { redis } = hf
  const known = hf.cache.stats()
  const about = {
    ...empty(options),
    namespaces: { '': known, ...known.namespaces },
    queues: hf.health().queues,
  }
  const tested = async () => (options.writeTest ? await writeTest(hf, clock, random.id()) : undefined)
  if (redis === undefined) return { ...about, writeTest: await tested() }
  const found = await Promise.all(
    [...portsOf(redis)].map(([port, roles]) => examinePort(hf, port, roles, options)),
  )
  const servers = found.flatMap((part) => part.servers)
  const reached = found.flatMap((part) => (part.servers.length > 0 ? [part.port] : []))
  const bounds = { keys: options.sampleKeys ?? 5_000, budget: SAMPLE_MS }
  const nodes = reached.flatMap((port) => port.nodes())
  return {
    ...about,
    driver: 'redis',
    queues: nodes.length > 0 ? await queuesOf(hf, clock, about.queues) : about.queues,
    servers,
    troubles: found.flatMap((part) => part.troubles),
    sample: nodes.length > 0 ? await sampleKeys(nodes, hf.namespace, clock, bounds) : undefined,
    last: servers.length > 0 ? await readLast(hf) : undefined,
    writeTest: servers.length > 0 ? await tested() : undefined,
  }
}

/** Those that nobody could look at in time are known as they were seen last, or not at all. */
async function queuesOf(hf: Holdfast, clock: Clock, known: Evidence['queues']): Promise<Evidence['queues']> {
  const look = async (): Promise<Evidence['queues']> => {
    const found = await hf.operations.queues()
    const looks = await Promise.all(found.map((queue) => queue.stats().catch(() => queue.known)))
    return looks.filter((stats) => stats !== undefined)
  }
  return within(clock, QUEUES_MS, look(), known).catch(() => known)
}

/** Each connection once, with the roles that it plays. */
function portsOf(redis: NonNullable<Holdfast['redis']>): Map<RedisPort, Role[]> {
  const ports = new Map<RedisPort, Role[]>()
  for (const role of ROLES) {
    const port = redis.port(role)
    ports.set(port, [...(ports.get(port) ?? []), role])
  }
  return ports
}

async function examinePort(
  hf: Holdfast,
  port: RedisPort,
  roles: readonly Role[],
  options: ExamineOptions,
): Promise<{ port: RedisPort; servers: ServerEvidence[]; troubles: Trouble[] }> {
  const [role = 'data'] = roles
  const source = sourceOf(options.redis, role)
  try {
    await port.ready(options.connectMs ?? 3_000)
    const servers = await Promise.all(
      port.nodes().map((node) => examineServer(node, port, roles, source, hf.namespace)),
    )
    return { port, servers, troubles: [] }
  } catch (error) {
    const trouble = await explainTrouble(role, error, port.label, source, port.clock)
    return { port, servers: [], troubles: [trouble] }
  }
}
