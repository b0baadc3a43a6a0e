/** One process of `shared.test.ts`: an application behind the HTTP engine, on the shared server. */
import { holdfast } from '../../src/holdfast.ts'
import { createHttpCache } from '../../src/http/engine.ts'
import { serve } from '../support/processes.ts'
import { got } from './http-harness.ts'

const hf = holdfast({
  redis: process.env.REDIS_URL!,
  namespace: process.env.NAMESPACE!,
  deadlines: { connect: '10s', read: '5s', write: '5s', invalidate: '10s' },
})
await hf.ready('30s')
const http = createHttpCache({ cache: hf.cache })
let calls = 0

serve(
  {
    /** One request; the application answers `text` after `ms`. */
    async ask({ url, method, text, ms, headers, answers }) {
      const reply = await http.handle(
        {
          method: String(method ?? 'GET'),
          url: String(url),
          host: 'shop.example',
          headers: (headers ?? {}) as Record<string, string>,
        },
        async () => {
          calls++
          if (ms) await new Promise((resolve) => setTimeout(resolve, Number(ms)))
          const fields = (answers ?? { 'cache-control': 'max-age=300' }) as Record<string, string>
          return { status: 200, headers: fields, body: Buffer.from(String(text ?? 'text')) }
        },
      )
      const { status, text: body, said } = await got(reply)
      return { status, text: body, said }
    },
    async purge({ url, tag }) {
      if (tag) await http.purgeTag(String(tag))
      else await http.purge(String(url))
      return true
    },
    async calls() {
      return calls
    },
  },
  () => hf.close(),
)
