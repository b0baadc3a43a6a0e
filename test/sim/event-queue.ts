/** Order within one moment: timers before socket input before "after input", as in Node's loop. */
export type Phase = 0 | 1 | 2
export const TIMER: Phase = 0
export const INPUT: Phase = 1
export const AFTER_INPUT: Phase = 2

export interface SimEvent {
  time: number
  readonly phase: Phase
  /** When it was first due: what keeps order when a frozen process wakes. */
  readonly due: number
  readonly seq: number
  run: (() => void) | undefined
}

function before(a: SimEvent, b: SimEvent): boolean {
  if (a.time !== b.time) return a.time < b.time
  if (a.phase !== b.phase) return a.phase < b.phase
  if (a.due !== b.due) return a.due < b.due
  return a.seq < b.seq
}

/** A binary heap of events. */
export class EventQueue {
  readonly #heap: SimEvent[] = []

  get size(): number {
    return this.#heap.length
  }

  push(event: SimEvent): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  pop(): SimEvent | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }
}
