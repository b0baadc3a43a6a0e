/** What the index page says of each backend. */
export interface Entry {
  title: string
  /** Three sentences: the situation, what is done about it, what to look at. */
  sentences: readonly [string, string, string]
  /** Where its address leads. */
  path: string
  /** The lines of it that are the point. */
  code: string
  file: string
}

export const CATALOG: Readonly<Record<string, Entry>> = {
  culi: {
    title: 'Culi',
    sentences: [
      'An assistant reads a shop’s KiotViet all day, which allows 5,000 reads an hour and takes its time.',
      'One token and one answer serve every process, a signed webhook ends an answer, and a plan that changes prices runs once, whatever crashes meanwhile.',
      'Ask for products twice, change a price at the till, and ask again.',
    ],
    path: '/healthz',
    file: 'examples/culi',
    code: `const token = hf.tokens({ tokenUrl, clientId, clientSecret })
const api = outbound(fetch, { cache: hf.cache, routes })
await hf.cache.invalidateTag('product:7')  // the webhook
const chat = hf.limiter('chat', { user: '20/minute' })
await hf.lock('plan:42').run(async ({ fencingToken }) => {
  await execute(plan, fencingToken) })`,
  },
  chatbot: {
    title: 'Chatbot',
    sentences: [
      'A chat over WebSocket used to wait half a second for its database before each answer.',
      'Now the answer comes first, and the rows are written behind it: in order per chat, once, whatever is killed meanwhile.',
      'Open it, say hello, and see how soon your message is safe.',
    ],
    path: '/',
    file: 'examples/chatbot',
    code: `const messages = hf.queue<Message>('messages', {
  batch: 500,
  orderBy: (message) => message.chat,
  handle: (batch) => database.save(batch),
})
await messages.add(message)  // safe; then answer`,
  },
  metrics: {
    title: 'Metrics',
    sentences: [
      'Marketing dashboards ask Meta, Google Ads and GA4 for the same reports again and again, and each of them counts.',
      'One cache with a life for each source answers them, loads ahead what will be wanted, and goes on with the last report while a source is away.',
      'Open an overview, and look at the quotas that are left.',
    ],
    path: '/api/v1/accounts',
    file: 'examples/metrics',
    code: `const report = await hf.cache.getOrSet(key, async (ctx) => {
  const answer = await metaInsights(account, range, ctx.signal)
  ctx.tag(\`account:\${account}\`)
  return answer.data
}, { ttl: '15m', stale: '1d', timeout: { soft: 0 } })
await hf.cache.warm(manifest)  // at the start`,
  },
  tasks: {
    title: 'Tasks',
    sentences: [
      'A tasks API stands over PostgreSQL and beside a slow exchange-rate service.',
      'Each read says its key and tags, each change what it drops, so the next read is fresh in every process.',
      'Read a rate twice, then look into its cache with the token of an edition.',
    ],
    path: '/api/v1/tasks',
    file: 'examples/tasks',
    code: `const find = cache.cached((id) => tasks.find(id), {
  key: (id) => \`task:\${id}\`, tags: (id) => [\`task:\${id}\`],
})
const update = cache.invalidates((id, change) => tasks.update(id, change), {
  tags: (id) => [\`task:\${id}\`, 'tasks'],
})`,
  },
  insight: {
    title: 'Insight',
    sentences: [
      'Teams ask an LLM about their tables, and each question costs money and seconds.',
      'An answer is paid for once while it is true; people are limited by user and address, and their sessions lie encrypted.',
      'Sign in, upload a table, and ask the same thing twice.',
    ],
    path: '/api/v1/models',
    file: 'examples/insight',
    code: `await app.register(holdfastPlugin, { holdfast: hf, session: { sessions } })
const key = \`\${id}:\${version}:\${model}:\${digest(question)}\`
const result = await hf.cache.namespace('query_result')
  .getOrSet(key, ({ signal }) => llm.answer(csv, question, model, signal))
app.post('/query', { config: { holdfast: {
  rateLimit: { limiter: hf.limiter('query', '20/minute') } } } }, handler)`,
  },
}

/** What puts the dashboard into a backend. */
export const DASHBOARD = `import { createAdmin } from 'holdfast/admin'
import { adminHandler } from 'holdfast/hono'

const tokens = [{ name: 'ops', edition: 'enterprise', token }]
const admin = createAdmin({ holdfast: hf, basePath: '/admin', tokens })
app.all('/admin/*', adminHandler(admin))`
