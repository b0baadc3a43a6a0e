/** One process of the attack: readers and writers in lanes, each read checked against the floors. */
import { serve } from '../support/processes.ts'
import {
  ALL,
  GROUPS,
  groupAt,
  KEYS,
  keyAt,
  keyName,
  namesOf,
  ownerOf,
  type Row,
  SourceOfTruth,
  TAGS,
  tagAt,
} from './source-of-truth.ts'
import { holdfastSubject, naiveSubject, type Subject, type SubjectOptions } from './subject.ts'

interface Orders extends SubjectOptions {
  readonly truth: string
  readonly me: number
  readonly processes: number
  readonly lanes: number
  readonly naive: boolean
  readonly writeShare: number
}

const orders = JSON.parse(process.argv[2]!) as Orders
const truth = new SourceOfTruth(orders.truth)
const report = {
  reads: 0,
  invalidations: 0,
  refused: 0,
  loads: 0,
  errors: {} as Record<string, number>,
  unhandled: 0,
}
const violations: string[] = []
let slowest = 0
let subject: Subject
let running = false

process.on('unhandledRejection', () => {
  report.unhandled++
})

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const below = (n: number): number => Math.floor(Math.random() * n)
const mine = (n: number, at: (i: number) => number): number[] =>
  Array.from({ length: n }, (_, i) => i).filter((i) => ownerOf(at(i), orders.processes) === orders.me)
const myKeys = mine(KEYS, keyAt)
const myTags = mine(TAGS, tagAt)
const myGroups = mine(GROUPS, groupAt)

async function load(i: number): Promise<Row> {
  report.loads++
  await pause(below(12))
  const row = truth.row(i)
  await pause(below(24))
  return row
}

function check(row: Row, floors: readonly number[], how: string): void {
  report.reads++
  for (const [n, floor] of floors.entries()) {
    if (row.at[n]! >= floor) continue
    const kind = ['key', 'tag', 'tag', 'pattern', 'clear'][n]
    violations.push(
      `${how} of ${keyName(row.i)}: ${kind} ${namesOf(row.i)[n]} is ${row.at[n]}, acknowledged ${floor}`,
    )
    return
  }
}

async function read(): Promise<void> {
  const started = performance.now()
  if (Math.random() < 0.08) {
    const list = [...new Set(Array.from({ length: 5 }, () => below(KEYS)))]
    const floors = new Map(list.map((i) => [i, truth.floors(i)]))
    const rows = await subject.getMany(list, async (missing) => {
      const loaded = await Promise.all(missing.map(async (i) => [i, await load(i)] as const))
      return new Map(loaded)
    })
    for (const row of rows) check(row, floors.get(row.i)!, 'getMany')
  } else {
    const i = below(KEYS)
    const floors = truth.floors(i)
    check(await subject.getOrSet(i, () => load(i)), floors, 'getOrSet')
  }
  slowest = Math.max(slowest, performance.now() - started)
}

/** Changes the database under a name of ours, invalidates it, and raises its floor once acknowledged. */
async function write(): Promise<void> {
  const dice = Math.random()
  const invalidate = async (name: number, run: (version: number) => Promise<unknown>): Promise<void> => {
    const version = truth.change(name)
    await run(version)
    truth.acknowledge(name, version)
  }
  const i = myKeys[below(myKeys.length)]!
  if (dice < 0.25) await invalidate(keyAt(i), () => subject.deleteKey(i))
  else if (dice < 0.4) {
    let version = 0
    await subject.write(i, () => {
      version = truth.change(keyAt(i))
      return truth.row(i)
    })
    truth.acknowledge(keyAt(i), version)
  } else if (dice < 0.5) {
    let version = 0
    await subject.mutate(i, () => {
      version = truth.change(keyAt(i))
    })
    truth.acknowledge(keyAt(i), version)
  } else if (dice < 0.95 && myTags.length > 0) {
    const j = myTags[below(myTags.length)]!
    await invalidate(tagAt(j), () => subject.invalidateTag(j))
  } else if (dice < 0.98 && myGroups.length > 0) {
    const g = myGroups[below(myGroups.length)]!
    await invalidate(groupAt(g), () => subject.deleteGroup(g))
  } else if (ownerOf(ALL, orders.processes) === orders.me) {
    await invalidate(ALL, () => subject.clear())
  }
  report.invalidations++
}

async function lane(): Promise<void> {
  while (running) {
    const writes = Math.random() < orders.writeShare
    try {
      await (writes ? write() : read())
    } catch (error) {
      // A refused invalidation raised no floor; everything else is a failure of the run.
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      if (writes) report.refused++
      else report.errors[code] = (report.errors[code] ?? 0) + 1
      await pause(5)
    }
    if (Math.random() < 0.05) await pause(below(10))
  }
}

subject = orders.naive ? await naiveSubject(String(orders.source)) : holdfastSubject(orders)
let lanes: Promise<unknown> = Promise.resolve()
serve(
  {
    start() {
      running = true
      lanes = Promise.all(Array.from({ length: orders.lanes }, lane))
    },
    async stop() {
      running = false
      await lanes
      return tally()
    },
    tally,
  },
  () => subject.close(),
)

function tally(): object {
  return { ...report, slowest, violations: violations.length, examples: violations.slice(0, 3) }
}
