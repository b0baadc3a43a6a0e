/** Writes what the queue hands it into PostgreSQL, and a second effect beside each row. */
import pg from 'pg'
import { holdfast } from '../../../src/holdfast.ts'
import { applyBatch } from '../../../src/queue/apply.ts'
import { serve, tell } from '../../support/processes.ts'
import { NAMESPACE, type ProofMessage, type ProofPlan, QUEUE, queueOptions } from './plan.ts'

const [url = '', database = '', text = '{}'] = process.argv.slice(2)
const plan = JSON.parse(text) as ProofPlan

const pool = new pg.Pool({ connectionString: database, max: plan.partitions, connectionTimeoutMillis: 2_000 })
pool.on('error', () => {})

let handled = 0
let redelivered = 0
let failed = 0

const insert = applyBatch<ProofMessage>({
  db: pool,
  table: 'messages',
  id: 'id',
  columns: {
    session: ({ body }) => body.session,
    n: ({ body }) => body.n,
    text: ({ body }) => (body.poison === 'refused' ? 'a zero \u0000 byte' : body.text),
  },
  // An effect that would show each second application, which a unique id alone would hide.
  async also(tx, fresh) {
    const counts = new Map<string, number>()
    for (const { body } of fresh) counts.set(body.session, (counts.get(body.session) ?? 0) + 1)
    const sessions = [...counts.keys()].sort()
    await tx.query(
      `INSERT INTO counts (session, n) SELECT * FROM unnest($1::text[], $2::int[])
       ON CONFLICT (session) DO UPDATE SET n = counts.n + EXCLUDED.n`,
      [sessions, sessions.map((session) => counts.get(session)!)],
    )
  },
  timeout: '8s',
})

const hf = holdfast({ redis: url, namespace: NAMESPACE })
hf.queue<ProofMessage>(QUEUE, {
  ...queueOptions(plan),
  async handle(batch, context) {
    handled += batch.length
    redelivered += batch.filter((message) => message.redelivered).length
    try {
      if (batch.some(({ body }) => body.poison === 'throws')) throw new Error('cannot bear this one')
      return await insert(batch, context)
    } catch (error) {
      failed++
      throw error
    }
  },
})

setInterval(() => tell({ handled, redelivered, failed }), 100)

serve({}, () => hf.close())
