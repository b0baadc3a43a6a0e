/**
 * Adds the messages of its sessions in order, each until it is acknowledged, and says which are. Odd
 * producers write past an outage into a local file, even ones are refused and try again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { holdfast } from '../../../src/holdfast.ts'
import { serve, tell } from '../../support/processes.ts'
import {
  idOf,
  isDuplicated,
  lengthOf,
  messageAt,
  NAMESPACE,
  type ProofMessage,
  type ProofPlan,
  QUEUE,
  queueOptions,
} from './plan.ts'

const [url = '', number = '0', directory = '', text = '{}'] = process.argv.slice(2)
const plan = JSON.parse(text) as ProofPlan
const spills = Number(number) % 2 === 1

const hf = holdfast({ redis: url, namespace: NAMESPACE })
const queue = hf.queue<ProofMessage>(QUEUE, {
  ...queueOptions(plan),
  ...(spills ? { whenDown: 'spill' as const, spill: { directory } } : {}),
})

let acknowledged: string[] = []
const errors: Record<string, number> = {}
let duplicates = 0
/** How far to go for now. */
let share = 0

setInterval(() => {
  if (acknowledged.length === 0) return
  tell({ acknowledged, errors, duplicates, spilled: queue.known?.spilled ?? 0 })
  acknowledged = []
}, 10)

async function addUntilKept(message: ProofMessage): Promise<void> {
  for (;;) {
    try {
      await queue.add(message)
      return
    } catch (error) {
      const { code = 'unknown' } = error as { code?: string }
      errors[code] = (errors[code] ?? 0) + 1
      if (!['QUEUE_UNAVAILABLE', 'QUEUE_UNCERTAIN', 'QUEUE_FULL'].includes(code)) {
        tell({ fault: `${code}: ${String(error)}` })
      }
      await sleep(100)
    }
  }
}

async function addNext(session: string, n: number): Promise<void> {
  const message = messageAt(plan, session, n)
  // Some twice at the same moment, and once more when they are known to be kept.
  const twin = isDuplicated(plan, n) ? queue.add(message).catch(() => {}) : undefined
  await addUntilKept(message)
  if (twin) {
    await twin
    await queue.add(message).catch(() => {})
    duplicates += 2
  }
  acknowledged.push(idOf(session, n))
}

async function produce(from: Readonly<Record<string, number>>): Promise<void> {
  const next = { ...from }
  const sessions = Object.keys(from)
  const length = lengthOf(plan)
  const beatMs = (1_000 * sessions.length) / plan.rate
  let due = performance.now()
  while (sessions.some((session) => next[session]! < length)) {
    const limit = Math.ceil(share * length)
    const open = sessions.filter((session) => next[session]! < limit)
    await Promise.all(open.map((session) => addNext(session, next[session]!++)))
    due = Math.max(due + beatMs, performance.now() - 5 * beatMs)
    await sleep(Math.max(open.length === 0 ? 10 : 0, due - performance.now()))
  }
  for (;;) {
    const stats = await queue.stats().catch(() => undefined)
    if (stats?.spilled === 0) break
    await sleep(50)
  }
  while (acknowledged.length > 0) await sleep(10)
  tell({ finished: true })
}

serve(
  {
    gate(request) {
      share = Number(request.share)
    },
    produce(request) {
      share = Number(request.share)
      void produce(request.from as Record<string, number>).catch((error: unknown) =>
        tell({ fault: String(error) }),
      )
    },
  },
  () => hf.close(),
)
