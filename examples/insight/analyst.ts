import { z } from 'zod'
import { Problem } from '../tasks/problem.ts'

const Models = z.object({ data: z.array(z.object({ id: z.string() })) })
const Completion = z.object({
  model: z.string(),
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: z.object({ total_tokens: z.number() }),
})
const SYSTEM = 'You answer questions about one table, shortly, and only from what stands in it.'
/** Of a large table the model sees the beginning. */
const MOST_CHARACTERS = 100_000

export interface Answer {
  answer: string
  model: string
  tokens: number
}

/** An LLM behind its chat completions API. Knows nothing of caching. */
export class Analyst {
  readonly #url: string
  readonly #key: string

  constructor(url: string, key: string) {
    this.#url = url
    this.#key = key
  }

  async models(signal: AbortSignal): Promise<string[]> {
    return (await this.#ask('models', Models, { signal })).data.map(({ id }) => id)
  }

  async answer(csv: string, question: string, model: string, signal: AbortSignal): Promise<Answer> {
    const messages = [
      { role: 'system', content: SYSTEM },
      { role: 'user', content: `\`\`\`csv\n${csv.slice(0, MOST_CHARACTERS)}\n\`\`\`` },
      { role: 'user', content: question },
    ]
    const body = JSON.stringify({ model, messages, max_tokens: 500 })
    const said = await this.#ask('chat/completions', Completion, { method: 'POST', body, signal })
    return { answer: said.choices[0]!.message.content, model: said.model, tokens: said.usage.total_tokens }
  }

  async #ask<T>(path: string, schema: z.ZodType<T>, init: RequestInit): Promise<T> {
    const headers = { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' }
    const reply = await fetch(`${this.#url}/v1/${path}`, { ...init, headers }).catch(unreachable)
    if (reply.status === 404) throw new Problem(422, 'there is no such model')
    if (reply.status === 429) throw new Problem(503, 'the model is asked too much at the moment')
    if (!reply.ok) throw new Problem(502, `the model refused with ${reply.status}`)
    const body: unknown = await reply.json().catch(unreachable)
    const { success, data } = schema.safeParse(body)
    if (success) return data
    throw new Problem(502, 'the model answered in a form that is not its own')
  }
}

const unreachable = (): never => {
  throw new Problem(502, 'the model cannot be reached, or broke off')
}
