import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { LLM_KEY, type Llm, startLlm } from './llm.ts'

let llm: Llm
beforeAll(async () => {
  llm = await startLlm()
})
afterEach(() => llm.reset())
afterAll(() => llm.close())

const headers = { authorization: `Bearer ${LLM_KEY}`, 'content-type': 'application/json' }
const TABLE = 'Data:\n```csv\nregion,sales\nnorth,10\nsouth,32\n```'
const ask = (content: string, more: object = {}) =>
  fetch(`${llm.url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      model: 'sim-large',
      messages: [
        { role: 'system', content: TABLE },
        { role: 'user', content },
      ],
      ...more,
    }),
  })

describe('the simulated LLM', () => {
  it('lists its models and answers over the table it is shown, with the usage', async () => {
    const models = await (await fetch(`${llm.url}/v1/models`, { headers })).json()
    expect(models).toMatchObject({ object: 'list', data: [{ id: 'sim-small', object: 'model' }, {}] })
    expect(await (await ask('What is the total of sales?')).json()).toMatchObject({
      object: 'chat.completion',
      choices: [
        {
          message: { role: 'assistant', content: 'The total sales over 2 rows is 42.' },
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 19, completion_tokens: 9, total_tokens: 28 },
    })
    expect(await (await ask('What is this?', { max_tokens: 2 })).json()).toMatchObject({
      choices: [{ message: { content: 'The tabl' }, finish_reason: 'length' }],
    })
  })

  it('counts what it would have cost, and nothing for what it refused', async () => {
    llm.fault({ kind: '429', times: 1 })
    const refused = await ask('What is the total of sales?')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    expect(await refused.json()).toMatchObject({ error: { code: 'rate_limit_exceeded' } })
    expect(llm.cost().usd).toBe(0)
    await ask('What is the total of sales?')
    const cost = await (await fetch(`${llm.url}/__sim/cost`)).json()
    expect(cost).toEqual({ usd: (19 * 2.5 + 9 * 10) / 1e6, promptTokens: 19, completionTokens: 9 })
    await fetch(`${llm.url}/__sim/cost`, { method: 'DELETE' })
    expect(llm.cost()).toEqual({ usd: 0, promptTokens: 0, completionTokens: 0 })
  })

  it('refuses a wrong key, an unknown model and a wrong body as the real ones do', async () => {
    expect((await fetch(`${llm.url}/v1/models`)).status).toBe(401)
    const unknown = await ask('Hello?', { model: 'toString' })
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({ error: { code: 'model_not_found' } })
    const wrong = await ask('Hello?', { messages: [] })
    expect(wrong.status).toBe(400)
    expect(await wrong.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
  })
})
