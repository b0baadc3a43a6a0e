/**
 * An LLM behind the chat completions API that most providers speak: models, answers with their usage,
 * its errors in its words, and what it would have cost. It reads the CSV that stands in the messages and
 * answers sums, averages, extremes and counts over it, so that another table gives another answer.
 *
 *   GET  /v1/models                 needs `Authorization: Bearer <LLM_KEY>`, as all below /v1
 *   POST /v1/chat/completions       { model, messages, max_tokens? }
 *   GET  /__sim/cost                { usd, promptTokens, completionTokens }; DELETE counts from zero
 */
import { randomUUID } from 'node:crypto'
import { runAlone, type Simulator, startSimulator } from './simulator.ts'

export const LLM_KEY = 'sk-simulated'

/** US dollars for a million tokens. */
const MODELS: Record<string, { prompt: number; completion: number }> = {
  'sim-small': { prompt: 0.15, completion: 0.6 },
  'sim-large': { prompt: 2.5, completion: 10 },
}
const SINCE = 1_750_000_000
/** What providers commonly take for one token. */
const CHARACTERS_PER_TOKEN = 4

export interface Cost {
  usd: number
  promptTokens: number
  completionTokens: number
}

export interface Llm extends Simulator {
  cost(): Cost
}

interface Ask {
  model: string
  messages: { role: string; content: string }[]
  max_tokens?: number
}

const ASK = {
  type: 'object',
  required: ['model', 'messages'],
  properties: {
    model: { type: 'string' },
    max_tokens: { type: 'integer', minimum: 1 },
    stream: { const: false },
    messages: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['role', 'content'],
        properties: { role: { enum: ['system', 'user', 'assistant'] }, content: { type: 'string' } },
      },
    },
  },
}

const error = (message: string, type: string, code: string | null, param: string | null = null) => ({
  error: { message, type, param, code },
})
const INVALID_KEY = error('Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key')

export async function startLlm({ port = 0 } = {}): Promise<Llm> {
  let cost: Cost = { usd: 0, promptTokens: 0, completionTokens: 0 }
  const forget = () => {
    cost = { usd: 0, promptTokens: 0, completionTokens: 0 }
  }
  const simulator = await startSimulator({
    name: 'an LLM',
    port,
    refusals: {
      401: { body: INVALID_KEY },
      403: { body: error('Country, region, or territory not supported.', 'request_forbidden', null) },
      429: {
        body: error('Rate limit reached for requests.', 'requests', 'rate_limit_exceeded'),
        headers: {
          'retry-after': '1',
          'x-ratelimit-limit-requests': '60',
          'x-ratelimit-remaining-requests': '0',
        },
      },
      500: { body: error('The server had an error while processing your request.', 'server_error', null) },
    },
    routes(app) {
      app.addHook('onRequest', async (request, reply) => {
        if (!request.url.startsWith('/v1/')) return
        if (request.headers.authorization !== `Bearer ${LLM_KEY}`) return reply.code(401).send(INVALID_KEY)
      })
      app.setErrorHandler((failure: Error & { statusCode?: number }, _request, reply) =>
        reply.code(failure.statusCode ?? 500).send(error(failure.message, 'invalid_request_error', null)),
      )

      app.get('/v1/models', () => ({
        object: 'list',
        data: Object.keys(MODELS).map((id) => ({
          id,
          object: 'model',
          created: SINCE,
          owned_by: 'simulator',
        })),
      }))

      app.post<{ Body: Ask }>('/v1/chat/completions', { schema: { body: ASK } }, ({ body }, reply) => {
        const price = Object.hasOwn(MODELS, body.model) ? MODELS[body.model] : undefined
        if (!price) {
          const message = `The model \`${body.model.slice(0, 60)}\` does not exist.`
          return reply.code(404).send(error(message, 'invalid_request_error', 'model_not_found', 'model'))
        }
        const most = body.max_tokens ?? 1_000
        const whole = answer(body.messages)
        const content = whole.slice(0, most * CHARACTERS_PER_TOKEN)
        const prompt_tokens = tokens(body.messages.map((message) => message.content).join('\n'))
        const completion_tokens = tokens(content)
        cost.promptTokens += prompt_tokens
        cost.completionTokens += completion_tokens
        cost.usd += (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6
        return {
          id: `chatcmpl-${randomUUID()}`,
          object: 'chat.completion',
          created: Math.floor(Date.now() / 1_000),
          model: body.model,
          choices: [
            {
              index: 0,
              message: { role: 'assistant', content, refusal: null },
              logprobs: null,
              finish_reason: content === whole ? 'stop' : 'length',
            },
          ],
          usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
        }
      })

      app.get('/__sim/cost', () => cost)
      app.delete('/__sim/cost', (_request, reply) => {
        forget()
        reply.code(204).send()
      })
    },
  })
  return {
    ...simulator,
    cost: () => ({ ...cost }),
    reset() {
      simulator.reset()
      forget()
    },
  }
}

const tokens = (text: string): number => Math.ceil(text.length / CHARACTERS_PER_TOKEN)

const WORDS: readonly [RegExp, (numbers: number[]) => number, string][] = [
  [/\b(average|mean)\b/i, (numbers) => sum(numbers) / numbers.length, 'average'],
  [/\b(sum|total)\b/i, (numbers) => sum(numbers), 'total'],
  [/\b(max|maximum|highest|largest)\b/i, (numbers) => Math.max(...numbers), 'highest'],
  [/\b(min|minimum|lowest|smallest)\b/i, (numbers) => Math.min(...numbers), 'lowest'],
]

/** The last message is the question; the table is what stands between the lines ``` of any. */
function answer(messages: Ask['messages']): string {
  const question = messages.at(-1)!.content
  const table = /```csv\n([^`]*)```/.exec(messages.map(({ content }) => content).join('\n'))?.[1]
  if (!table) return 'Give me a table, and I will tell you about it.'
  const [head = [], ...rows] = table
    .trim()
    .split('\n')
    .map((line) => line.split(','))
  const column = head.findIndex((name) => question.toLowerCase().includes(name.trim().toLowerCase()))
  const numbers = rows.map((row) => Number(row[column])).filter(Number.isFinite)
  const word = WORDS.find(([pattern]) => pattern.test(question))
  if (word && numbers.length > 0) {
    const value = Math.round(word[1](numbers) * 100) / 100
    return `The ${word[2]} ${head[column]} over ${numbers.length} rows is ${value}.`
  }
  return `The table has ${rows.length} rows and the columns ${head.join(', ')}.`
}

const sum = (numbers: number[]): number => numbers.reduce((total, one) => total + one, 0)

await runAlone(import.meta.url, startLlm)
