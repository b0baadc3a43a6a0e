/** The worker of `tools.test.ts`. */
import { serve, tell } from './processes.ts'

serve({
  echo: (request) => {
    tell({ note: 'asked' })
    return request.text
  },
  fail: () => {
    throw Object.assign(new Error('as asked'), { code: 'ASKED' })
  },
})
