import type { Part } from './store.ts'
import type { Identity } from './subject.ts'

/** One call: whom it concerns, where their counters are, what it costs. */
export class Ask {
  readonly who: readonly Identity[]
  readonly parts: readonly Part[]
  readonly cost: number

  constructor(who: readonly Identity[], parts: readonly Part[], cost: number) {
    this.who = who
    this.parts = parts
    this.cost = cost
  }

  get kinds(): readonly string[] {
    return this.who.map((one) => one.kind)
  }

  id(): string {
    return this.parts.length === 1 ? this.parts[0]!.key : this.parts.map((part) => part.key).join('\n')
  }

  layout(): string {
    return this.parts.length === 1
      ? this.parts[0]!.policy.wire
      : this.parts.map((part) => part.policy.wire).join()
  }
}
