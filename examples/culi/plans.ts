import type { Duration, Holdfast } from 'holdfast'
import { LockLost } from 'holdfast/lock'
import { OnceRunning, OnceSuperseded } from 'holdfast/once'
import type { Sessions } from 'holdfast/session'
import { Problem } from '../tasks/problem.ts'
import type { KiotViet } from './kiotviet.ts'

/** New prices, by id of the product. */
export interface Plan {
  title: string
  prices: Record<string, number>
}

/** Every workspace has this one. */
const FIRST: Plan = { title: 'Prices of the weekend', prices: { 1: 25_000, 2: 30_000, 3: 35_000 } }

export class Plans {
  readonly #hf: Holdfast
  readonly #plans: Sessions<Plan>
  readonly #lease: Duration

  /** @param lease how long a plan waits for a process that died while it executed it */
  constructor(hf: Holdfast, lease: Duration) {
    this.#hf = hf
    this.#plans = hf.sessions<Plan>('plan', { idle: '7d', absolute: '30d' })
    this.#lease = lease
  }

  async add(workspace: string, plan: Plan): Promise<string> {
    return (await this.#plans.create(plan, { user: workspace })).id
  }

  async state(workspace: string, id: string) {
    const { title, prices } = await this.#find(workspace, id)
    const record = await this.#hf.once.inspect(keyOf(workspace, id))
    const { state = 'new', attempts = 0, checkpoints = [] } = record ?? {}
    const done = state === 'done' ? Object.keys(prices).map(stepOf) : checkpoints
    return { id, title, prices, state, attempts, done }
  }

  /** Whatever happens, one price after the other, each plan once; who comes second is refused. */
  async execute(workspace: string, id: string, kiotviet: KiotViet) {
    const plan = await this.#find(workspace, id)
    let isOurs = false
    try {
      const result = await this.#hf.once(
        keyOf(workspace, id),
        async (step) => {
          isOurs = true
          for (const [product, price] of Object.entries(plan.prices)) {
            await step(stepOf(product), () => kiotviet.setPrice(Number(product), price, step.signal))
          }
          const { attempt, fencingToken } = step
          return { id, changed: Object.keys(plan.prices).length, attempt, fencingToken }
        },
        { payload: plan, onCrash: 'recover', lease: this.#lease, retain: '30d' },
      )
      if (isOurs) return result
    } catch (error) {
      if (error instanceof OnceRunning) throw new Problem(409, 'this plan is being executed')
      if (error instanceof OnceSuperseded || error instanceof LockLost)
        throw new Problem(409, 'another process has taken this plan over')
      throw error
    }
    throw new Problem(409, 'this plan has been executed')
  }

  async #find(workspace: string, id: string): Promise<Plan> {
    if (id === '1') return FIRST
    const found = await this.#plans.load(id)
    if (found?.user !== workspace) throw new Problem(404, 'there is no such plan')
    return found.data
  }
}

const stepOf = (product: string) => `product ${product}`
const keyOf = (workspace: string, id: string) => `plan:${workspace}:${id}`
