import type { Clock } from '../base/clock.ts'
import { type NameBatch, scanNames } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import type {
  Claim,
  ClaimReply,
  CrashPolicy,
  Ending,
  Grant,
  OnceLook,
  OnceRecord,
  OnceStore,
} from './store.ts'

interface Row {
  state: 'running' | 'done' | 'failed' | 'retry'
  owner: string
  fingerprint: string
  fence: number
  attempt: number
  startedAt: number
  leaseUntil: number
  /** When the record is forgotten. */
  keptUntil: number
  result: string | undefined
  error: string
  readonly checkpoints: Map<string, string>
}

const SWEEP_EVERY = 1_024

/** Records within one process, by the same moves as in Redis. */
export class MemoryOnceStore implements OnceStore {
  readonly shared = false
  readonly clock: Clock
  readonly random: Random
  #rows = new Map<string, Row>()
  #listeners = new Map<string, Set<() => void>>()
  #lastFence = 0
  #claims = 0

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
  }

  opening(): undefined {}

  async claim(claim: Claim, onCrash: CrashPolicy): Promise<ClaimReply> {
    if (++this.#claims % SWEEP_EVERY === 0) for (const id of this.#rows.keys()) this.#row(id)
    const now = this.clock.mono()
    const row = this.#row(claim.id)
    let before: 'none' | 'crashed' | 'failed' = 'none'
    if (row) {
      if (row.fingerprint !== claim.fingerprint) return { state: 'mismatch' }
      if (row.state === 'done') return { state: 'done', result: row.result }
      if (row.state === 'failed') return { state: 'failed', error: row.error }
      if (row.state === 'running') {
        if (row.leaseUntil >= now) return { state: 'running', leaseMs: row.leaseUntil - now }
        if (onCrash === 'hold') return { state: 'indeterminate', attempts: row.attempt }
        if (onCrash === 'retry') row.checkpoints.clear()
        before = 'crashed'
      } else before = 'failed'
    }
    this.#lastFence = Math.max(this.#lastFence + 1, Math.floor(this.clock.wall() * 1_000))
    const grant: Grant = { fence: this.#lastFence, attempt: (row?.attempt ?? 0) + 1 }
    const next = this.#begin(claim, grant, row?.checkpoints)
    return { state: 'won', grant, before, checkpoints: [...next.checkpoints] }
  }

  async abandon(claim: Claim): Promise<void> {
    const row = this.#row(claim.id)
    if (row?.owner === claim.owner) this.#close(claim.id, row, { state: 'retry' }, claim.retainMs)
  }

  async beat(claim: Claim, grant: Grant): Promise<boolean> {
    const row = this.#mine(claim, grant)
    if (row?.state !== 'running') return false
    row.leaseUntil = this.clock.mono() + claim.leaseMs
    row.keptUntil = row.leaseUntil + claim.retainMs
    return true
  }

  async checkpoint(claim: Claim, grant: Grant, name: string, value: string): Promise<boolean> {
    const row = this.#mine(claim, grant)
    if (row?.state !== 'running') return false
    if (!row.checkpoints.has(name)) row.checkpoints.set(name, value)
    return true
  }

  async end(claim: Claim, grant: Grant, ending: Ending): Promise<boolean> {
    const row = this.#mine(claim, grant)
    if (!row) return false
    if (row.state === 'running') this.#close(claim.id, row, ending, claim.retainMs)
    return true
  }

  async resolve(
    id: string,
    ending: Ending,
    options: { force: boolean; retainMs: number },
  ): Promise<'resolved' | 'absent' | 'running'> {
    const row = this.#row(id)
    if (!row) return 'absent'
    if (row.state === 'running' && row.leaseUntil >= this.clock.mono() && !options.force) return 'running'
    row.owner = ''
    this.#close(id, row, ending, options.retainMs)
    return 'resolved'
  }

  async inspect(id: string): Promise<OnceRecord | undefined> {
    const row = this.#row(id)
    if (!row) return undefined
    const now = this.clock.mono()
    const alive = row.leaseUntil >= now ? 'running' : 'indeterminate'
    return {
      state: row.state === 'running' ? alive : row.state === 'retry' ? 'retryable' : row.state,
      fence: row.fence,
      attempts: row.attempt,
      ageMs: Math.round(now - row.startedAt),
      checkpoints: [...row.checkpoints.keys()],
    }
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    return scanNames(
      () => this.#rows.keys(),
      glob,
      (id) => this.#row(id) !== undefined,
      from,
    )
  }

  async look(id: string): Promise<OnceLook | undefined> {
    const [row, record] = [this.#row(id), await this.inspect(id)]
    if (!row || !record) return undefined
    return {
      state: record.state,
      startedAt: this.clock.wall() - record.ageMs,
      attempts: record.attempts,
      step: record.checkpoints.at(-1),
      steps: record.checkpoints.length,
      owner: record.state === 'running' ? row.owner : undefined,
    }
  }

  listen(id: string, wake: () => void): () => void {
    const there = this.#listeners.get(id) ?? new Set()
    this.#listeners.set(id, there.add(wake))
    return () => {
      there.delete(wake)
      if (!there.size && this.#listeners.get(id) === there) this.#listeners.delete(id)
    }
  }

  close(): void {
    this.#rows.clear()
    this.#listeners.clear()
  }

  #row(id: string): Row | undefined {
    const row = this.#rows.get(id)
    if (!row || row.keptUntil > this.clock.mono()) return row
    this.#rows.delete(id)
    return undefined
  }

  /** Ours, or begun again when it is gone. */
  #mine(claim: Claim, grant: Grant): Row | undefined {
    const row = this.#row(claim.id) ?? this.#begin(claim, grant, undefined)
    return row.owner === claim.owner ? row : undefined
  }

  #begin(claim: Claim, grant: Grant, checkpoints: Map<string, string> | undefined): Row {
    const now = this.clock.mono()
    const row: Row = {
      state: 'running',
      owner: claim.owner,
      fingerprint: claim.fingerprint,
      fence: grant.fence,
      attempt: grant.attempt,
      startedAt: now,
      leaseUntil: now + claim.leaseMs,
      keptUntil: now + claim.leaseMs + claim.retainMs,
      result: undefined,
      error: '',
      checkpoints: checkpoints ?? new Map(),
    }
    this.#rows.set(claim.id, row)
    return row
  }

  #close(id: string, row: Row, ending: Ending, retainMs: number): void {
    row.state = ending.state
    row.result = ending.state === 'done' ? ending.result : undefined
    row.error = ending.state === 'failed' ? ending.error : ''
    row.keptUntil = this.clock.mono() + retainMs
    if (ending.state !== 'retry') row.checkpoints.clear()
    for (const wake of [...(this.#listeners.get(id) ?? [])]) wake()
  }
}
