import type { Clock } from '../base/clock.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { firstConnection } from '../redis/first-connection.ts'
import type { Reply } from '../redis/link.ts'
import { scanNodes } from '../redis/name-scan.ts'
import type { RedisNode, RedisPort } from '../redis/port.ts'
import type { Script } from '../redis/script.ts'
import { ABANDON, BEAT, CHECKPOINT, CLAIM, END, LOOK, RESOLVE } from './scripts.ts'
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

/** For one step of a scan. */
const SCAN_MS = 2_000
const STATES = { d: 'done', f: 'failed', t: 'retryable' } as const
const LETTERS = { done: 'd', failed: 'f', retry: 't' } as const

/** Records in Redis: one hash per key, one script per move, by the server's clock. */
export class RedisOnceStore implements OnceStore {
  readonly shared = true
  readonly clock: Clock
  readonly random: Random
  #port: RedisPort
  #prefix: string

  /** @param namespace encoded */
  constructor(port: RedisPort, namespace: string) {
    this.#port = port
    this.clock = port.clock
    this.random = port.random
    this.#prefix = `hf:${namespace}:once:`
  }

  opening(): Promise<void> | undefined {
    return firstConnection(this.#port)
  }

  async claim(claim: Claim, onCrash: CrashPolicy, deadline: number): Promise<ClaimReply> {
    const node = this.#node(claim.id)
    const due = String(Math.floor(node.serverNow() + deadline))
    const { owner, fingerprint, leaseMs, retainMs } = claim
    const args = [due, owner, fingerprint, String(leaseMs), String(retainMs), onCrash]
    const reply = (await node.eval(CLAIM, [this.#key(claim.id)], args, { deadline })) as Reply[]
    switch (reply[0]) {
      case 'won': {
        const [, fence, attempt, before, steps] = reply as [string, string, string, string, string[]]
        return {
          state: 'won',
          grant: { fence: Number(fence), attempt: Number(attempt) },
          before: before === 'crashed' || before === 'failed' ? before : 'none',
          checkpoints: inOrder(steps),
        }
      }
      case 'running':
        return { state: 'running', leaseMs: Number(reply[1]) }
      case 'done':
        return { state: 'done', result: reply[1] === null ? undefined : String(reply[1]) }
      case 'failed':
        return { state: 'failed', error: String(reply[1]) }
      case 'indeterminate':
        return { state: 'indeterminate', attempts: Number(reply[1]) }
      default:
        return { state: 'mismatch' }
    }
  }

  async abandon(claim: Claim, deadline: number): Promise<void> {
    const args = [claim.owner, this.#channel(claim.id)]
    await this.#node(claim.id).eval(ABANDON, [this.#key(claim.id)], args, { deadline })
  }

  beat(claim: Claim, grant: Grant, deadline: number): Promise<boolean> {
    const due = String(Math.floor(this.#node(claim.id).serverNow() + deadline))
    return this.#move(BEAT, claim, grant, due, [], deadline)
  }

  checkpoint(claim: Claim, grant: Grant, name: string, value: string, deadline: number): Promise<boolean> {
    return this.#move(CHECKPOINT, claim, grant, '0', [name, value], deadline)
  }

  end(claim: Claim, grant: Grant, ending: Ending, deadline: number): Promise<boolean> {
    return this.#move(END, claim, grant, '0', this.#ending(claim.id, ending), deadline)
  }

  async resolve(
    id: string,
    ending: Ending,
    options: { force: boolean; retainMs: number; deadline: number },
  ): Promise<'resolved' | 'absent' | 'running'> {
    const { force, retainMs, deadline } = options
    const common = ['0', '', '', '0', String(retainMs), '', '']
    const reply = await this.#node(id).eval(
      RESOLVE,
      [this.#key(id)],
      [...common, ...this.#ending(id, ending), force ? '1' : '0'],
      { deadline },
    )
    return reply === 1 ? 'resolved' : reply === 0 ? 'absent' : 'running'
  }

  async inspect(id: string, deadline: number): Promise<OnceRecord | undefined> {
    const node = this.#node(id)
    // The server's own time, read before the record: what is over by it is over for every claim after.
    const [time, reply] = await Promise.all([
      node.send(['TIME'], { deadline }),
      node.send(['HGETALL', this.#key(id)], { deadline }),
    ])
    const flat = (Array.isArray(reply) ? reply : []).flat().map(String)
    if (!flat.length) return undefined
    const fields = new Map<string, string>()
    const steps: string[] = []
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const [name, value] = [flat[at]!, flat[at + 1]!]
      if (name.startsWith('c:')) steps.push(name.slice(2), value)
      else fields.set(name, value)
    }
    const [seconds, micros] = (Array.isArray(time) ? time : []).map(Number)
    const now = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
    const letter = fields.get('st')
    const alive = Number(fields.get('lu')) >= now ? 'running' : 'indeterminate'
    return {
      state: letter === 'd' || letter === 'f' || letter === 't' ? STATES[letter] : alive,
      fence: Number(fields.get('fn')),
      attempts: Number(fields.get('at')),
      ageMs: Math.max(0, Math.round(now - Number(fields.get('sa')))),
      checkpoints: inOrder(steps).map(([name]) => name),
    }
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    const pick = (key: string): string | undefined => /^\{(.*)\}$/.exec(key.slice(this.#prefix.length))?.[1]
    return scanNodes(this.#port.nodes(), `${this.#prefix}{${glob}}`, SCAN_MS, pick, from)
  }

  async look(id: string, deadline: number): Promise<OnceLook | undefined> {
    const reply = await this.#node(id).eval(LOOK, [this.#key(id)], [], { deadline })
    if (!Array.isArray(reply)) return undefined
    const [letter, ended, startedAt, attempts, steps, step, owner] = reply.map(String)
    const alive = ended === '0' ? 'running' : 'indeterminate'
    const state = letter === 'd' || letter === 'f' || letter === 't' ? STATES[letter] : alive
    return {
      state,
      startedAt: Number(startedAt),
      attempts: Number(attempts),
      step: step === '' ? undefined : step,
      steps: Number(steps),
      owner: state === 'running' ? owner : undefined,
    }
  }

  listen(id: string, wake: () => void): () => void {
    return this.#node(id).bus.subscribe([this.#channel(id)], { message: wake, open: wake, gap() {} })
  }

  close(): void {}

  async #move(
    script: Script,
    claim: Claim,
    grant: Grant,
    due: string,
    rest: readonly string[],
    deadline: number,
  ): Promise<boolean> {
    const { owner, fingerprint, leaseMs, retainMs } = claim
    const common = [due, owner, fingerprint, leaseMs, retainMs, grant.fence, grant.attempt].map(String)
    const node = this.#node(claim.id)
    return (await node.eval(script, [this.#key(claim.id)], [...common, ...rest], { deadline })) === 1
  }

  #ending(id: string, ending: Ending): string[] {
    const [field, text] =
      ending.state === 'failed'
        ? ['er', ending.error]
        : ending.state === 'done' && ending.result !== undefined
          ? ['rs', ending.result]
          : ['', '']
    return [LETTERS[ending.state], field, text, this.#channel(id)]
  }

  #key(id: string): string {
    return `${this.#prefix}{${id}}`
  }

  #channel(id: string): string {
    return `${this.#prefix}{${id}}:end`
  }

  #node(id: string): RedisNode {
    return this.#port.nodeFor(this.#key(id))
  }
}

/** A hash has no order: each value begins with its number. */
function inOrder(flat: readonly string[]): [string, string][] {
  const steps: { at: number; name: string; value: string }[] = []
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const value = flat[index + 1]!
    const space = value.indexOf(' ')
    steps.push({ at: Number(value.slice(0, space)), name: flat[index]!, value: value.slice(space + 1) })
  }
  return steps.sort((a, b) => a.at - b.at).map(({ name, value }) => [name, value])
}
