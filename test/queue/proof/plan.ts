/** What is sent in the proof of the queue, and how: the same for its producers, its workers and its judge. */
import type { QueueOptions } from '../../../src/queue/options.ts'

export interface ProofPlan {
  readonly messages: number
  readonly sessions: number
  readonly producers: number
  readonly workers: number
  /** Messages per second and producer. */
  readonly rate: number
  /** How long Redis, and later the database, is away. */
  readonly outageMs: number
  /** One message in so many is poison. */
  readonly poisonEvery: number
  /** One message in so many is added again by its producer. */
  readonly duplicateEvery: number
  readonly takeoverMs: number
  readonly partitions: number
}

export const FULL: ProofPlan = {
  messages: 100_000,
  sessions: 200,
  producers: 4,
  workers: 4,
  rate: 450,
  outageMs: 10_000,
  poisonEvery: 1_000,
  duplicateEvery: 20,
  takeoverMs: 5_000,
  partitions: 8,
}

export const SHORT: ProofPlan = {
  ...FULL,
  messages: 3_000,
  sessions: 30,
  producers: 2,
  workers: 2,
  rate: 200,
  outageMs: 1_500,
  poisonEvery: 300,
  takeoverMs: 2_000,
  partitions: 4,
}

export interface ProofMessage {
  readonly session: string
  /** Place in its session, from 0. */
  readonly n: number
  readonly text: string
  /** `throws`: the handler cannot bear it. `refused`: the database does not take the row. */
  readonly poison?: 'throws' | 'refused' | undefined
}

export const QUEUE = 'messages'
export const NAMESPACE = 'proof'

export const idOf = (session: string, n: number): string => `${session}-${n}`

/** Each session has one producer: without that there is no order to keep. */
export const sessionsOf = (plan: ProofPlan, producer: number): string[] =>
  Array.from({ length: plan.sessions }, (_, n) => n)
    .filter((n) => n % plan.producers === producer)
    .map((n) => `s${n}`)

export const lengthOf = (plan: ProofPlan): number => Math.floor(plan.messages / plan.sessions)

/** Poison that throws comes early in its session: what dies of failing alone needs others that succeed. */
export function messageAt(plan: ProofPlan, session: string, n: number): ProofMessage {
  const length = lengthOf(plan)
  const serial = Number(session.slice(1)) * length + n
  const turn = serial % (2 * plan.poisonEvery)
  const later = plan.poisonEvery + 7 + Math.floor(0.6 * length)
  const poison = turn === 7 ? 'throws' : turn === later ? 'refused' : undefined
  return { session, n, text: `message ${n} of ${session}`, ...(poison && { poison }) }
}

export const isDuplicated = (plan: ProofPlan, n: number): boolean => n % plan.duplicateEvery === 3

/** The window in which the queue knows duplicates is short, so that later ones meet the database. */
export function queueOptions(plan: ProofPlan): QueueOptions<ProofMessage> {
  return {
    orderBy: ({ session }) => session,
    id: ({ session, n }) => idOf(session, n),
    partitions: plan.partitions,
    durability: 'aof',
    dedupe: '2s',
    batch: 200,
    takeover: plan.takeoverMs,
    // Longer than the database is away: an outage must not kill what it keeps waiting.
    retry: { attempts: 4, first: 20, most: 500, outage: plan.outageMs * 2 + 20_000 },
    timeout: '10s',
  }
}
