import { createPort } from '../../src/redis/create-port.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { TIMER } from './event-queue.ts'
import { type FaultKind, Faults } from './faults.ts'
import type { Mix, Mode } from './mixes.ts'
import { Network } from './network.ts'
import { Oracle } from './oracle.ts'
import type { Subject } from './subject.ts'
import { type Counts, Workload } from './workload.ts'
import { SimProcess, World } from './world.ts'

export type MakeSubject = (port: RedisPort, l1: boolean) => Subject

export interface Scenario {
  readonly seed: string
  readonly mix: Mix
  readonly mode: Mode
  readonly subject: MakeSubject
  readonly trace?: boolean
  /** Virtual ms of work, then everything heals and must settle. */
  readonly ms?: number
}

export interface Outcome {
  readonly seed: string
  readonly violations: readonly string[]
  readonly reads: number
  readonly acknowledged: number
  readonly counts: Counts
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly events: number
  readonly digest: number
  readonly trace: readonly string[]
}

const PROCESSES = 4
const LOOPS = 6
const KEYS = 32
const TAGS = 8
const LIVENESS_EVERY_MS = 500
/** After the last fault every call must settle within this. */
const SETTLE_MS = 15_000

let unhandled: ((reason: unknown) => void) | undefined
let listening = false

function hearUnhandled(listener: ((reason: unknown) => void) | undefined): void {
  unhandled = listener
  if (listening) return
  listening = true
  process.on('unhandledRejection', (reason) => unhandled?.(reason))
}

/** Runs one seed from birth to rest. */
export async function play(scenario: Scenario): Promise<Outcome> {
  const { mix, mode } = scenario
  const world = new World(scenario.seed, { trace: scenario.trace ?? false })
  const network = new Network(world, ['a:6379', 'b:6379'], mix.latency)
  network.hosts[1]!.server.demote()
  const oracle = new Oracle(KEYS, TAGS, world.random('tags'))
  const workload = new Workload(world, oracle, mode.shape)
  const processes: SimProcess[] = []
  let born = 0
  const late = world.random('late starters')

  const start = (): SimProcess => {
    const process = new SimProcess(world, `p${born++}`)
    const { clock, random } = process
    const port = createPort(network.dialer(process), { clock, random })
    const begin = (): void => {
      const subject = scenario.subject(port, mode.l1)
      for (let i = 0; i < LOOPS; i++) void workload.loop(process, subject)
    }
    if (born % 2 === 0) begin()
    else {
      // Somebody else uses the push connection before the cache does.
      port.nodes()[0]!.bus.subscribe(['news'], { message() {}, gap() {}, open() {} })
      world.at(world.now + late.between(0, 60), begin, TIMER, process)
    }
    return process
  }
  const replace = (old: SimProcess): void => {
    old.dead = true
    for (const host of network.hosts) {
      for (const link of [...host.links]) if (link.process === old) link.abandon()
    }
    processes.splice(processes.indexOf(old), 1, start())
  }
  hearUnhandled((reason) =>
    workload.violate(`unhandled rejection: ${reason instanceof Error ? reason.stack : reason}`),
  )

  for (let i = 0; i < (mode.processes ?? PROCESSES); i++) processes.push(start())
  const faults = new Faults(world, network, { processes: () => processes, replace }, mix.faults)
  const watch = (): void => {
    workload.checkLiveness()
    world.at(world.now + LIVENESS_EVERY_MS, watch)
  }
  watch()

  const work = scenario.ms ?? 4_000
  const failed = () => workload.violations.length > 0
  await world.drive(() => world.now >= work || failed(), work)
  workload.stop()
  faults.stop()
  if (!failed()) {
    const ended = await world.drive(() => workload.pending === 0 || failed(), world.now + SETTLE_MS)
    if (ended !== 'done') workload.violate(`${workload.pending} calls never settled (${ended})`)
  }
  for (const process of processes) process.dead = true
  hearUnhandled(undefined)
  return {
    seed: scenario.seed,
    violations: workload.violations,
    reads: oracle.reads,
    acknowledged: oracle.acknowledged,
    counts: workload.counts,
    faults: faults.counts,
    events: world.events,
    digest: world.digest,
    trace: world.trace,
  }
}
