import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { applied, applyOnce, createAppliedTable, pruneApplied } from '../../src/queue/applied.ts'
import { type ApplyOptions, applyBatch } from '../../src/queue/apply.ts'
import { inTransaction } from '../../src/queue/sql.ts'
import { context, DATABASES, type Database, message } from './sql-support.ts'

interface Chat {
  session: string
  text: string | null
}

const chats = (ids: readonly string[]) =>
  ids.map((id) => message<Chat>(id, { session: 's', text: `text of ${id}` }))
const done = (count: number) => Array.from({ length: count }, () => ({ ok: true }))

for (const { name, skip, open } of DATABASES) {
  describe.skipIf(skip)(`idempotent apply over ${name}`, () => {
    let base: Database
    beforeAll(async () => {
      base = await open()
    })
    afterAll(() => base?.close())
    beforeEach(async () => {
      await base.run('DROP TABLE IF EXISTS chats, parents, holdfast_applied, "odd ""table"" ; --"')
      await base.run(
        'CREATE TABLE chats (id text PRIMARY KEY, seq serial, session text NOT NULL, text varchar(40), at timestamptz)',
      )
    })

    const insert = (more: Partial<ApplyOptions<Chat>> = {}) =>
      applyBatch<Chat>({
        db: base.db,
        table: 'chats',
        id: 'id',
        columns: {
          session: ({ body }) => body.session,
          text: ({ body }) => body.text,
          at: ({ at }) => new Date(at),
        },
        ...more,
      })

    it('writes a batch as rows in order, and a batch that comes again changes nothing [S1-4] [S1-8]', async () => {
      const apply = insert()
      expect(await apply(chats(['c', 'a', 'b']), context)).toEqual(done(3))
      expect(await apply(chats(['a', 'b', 'd', 'd']), context)).toEqual(done(4))
      const rows = await base.run('SELECT id, session, text, at FROM chats ORDER BY seq')
      expect(rows.map(({ id }) => id)).toEqual(['c', 'a', 'b', 'd'])
      expect(rows[0]).toEqual({ id: 'c', session: 's', text: 'text of c', at: new Date(1_700_000_000_000) })
    })

    it('writes each row once when several deliver the same batches at the same time [S1-8]', async () => {
      const apply = insert()
      const batches = Array.from({ length: 12 }, (_, n) =>
        chats(Array.from({ length: 40 }, (_, i) => `m${(n * 7 + i) % 90}`)),
      )
      // Transactions that hold each other up are ended by the server, and tried again as by a queue.
      const stubborn = async (batch: ReturnType<typeof chats>) => {
        for (let attempt = 0; ; attempt++) {
          try {
            return await apply(batch, { ...context, signal: new AbortController().signal })
          } catch (error) {
            if (attempt === 20) throw error
          }
        }
      }
      await Promise.all(batches.map(stubborn))
      expect(await base.run('SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids FROM chats')).toEqual([
        { n: 90, ids: 90 },
      ])
    })

    it('finds the rows that the database refuses, and writes all others', async () => {
      const batch = chats(Array.from({ length: 20 }, (_, n) => `m${n}`))
      batch[3]!.body.text = 'x'.repeat(41)
      batch[11]!.body.session = null as never
      batch[17]!.body.text = 'a zero \u0000 byte'
      const outcomes = await insert()(batch, context)
      expect(outcomes?.flatMap((it, n) => ('dead' in it ? [[n, it.dead]] : []))).toEqual([
        [3, expect.stringContaining('22001')],
        [11, expect.stringMatching(/23502.*column session/)],
        [17, expect.stringMatching(/22021|22P05/)],
      ])
      expect(JSON.stringify(outcomes)).not.toContain('xxxx')
      expect(await base.run('SELECT count(*)::int AS n FROM chats')).toEqual([{ n: 17 }])
    })

    it('tries a row again whose parent is not there yet, and the others are written', async () => {
      await base.run('CREATE TABLE parents (id text PRIMARY KEY)')
      await base.run('ALTER TABLE chats ADD FOREIGN KEY (session) REFERENCES parents')
      await base.run("INSERT INTO parents VALUES ('s')")
      const batch = [...chats(['a', 'b']), message<Chat>('c', { session: 'later', text: '' })]
      expect(await insert()(batch, context)).toEqual([
        ...done(2),
        { retry: true, reason: expect.stringContaining('23503') },
      ])
      await base.run("INSERT INTO parents VALUES ('later')")
      expect(await insert()(batch, context)).toEqual(done(3))
    })

    it('rejects as a whole for every other fault, a missing table or column by name', async () => {
      await expect(insert({ table: 'nowhere' })(chats(['a']), context)).rejects.toThrow(/no table 'nowhere'/)
      const apply = insert({ columns: { nothing: () => 1 } })
      await expect(apply(chats(['a']), context)).rejects.toThrow(/no column 'nothing'/)
      await base.run('ALTER TABLE chats ADD COLUMN nothing int')
      await base.run('ALTER TABLE chats ALTER COLUMN session DROP NOT NULL')
      expect(await apply(chats(['a']), context)).toEqual(done(1))
    })

    it('writes values of every common type as they are', async () => {
      await base.run(`CREATE TABLE "odd ""table"" ; --" ("the id" text UNIQUE, n int, big bigint, r float8, ok boolean,
        at timestamptz, doc jsonb, plain json, tags text[], grid int[], raw bytea, code char(3), price numeric(8,2))`)
      const value = {
        n: -5,
        big: 2n ** 60n,
        r: Number.POSITIVE_INFINITY,
        ok: false,
        at: new Date('2026-01-02T03:04:05.678Z'),
        doc: { a: [1, null, 'q"\\'], b: 'text' },
        plain: 'a string',
        tags: ['a', 'with "quotes", {braces}', '', null, 'NULL'],
        grid: [
          [1, 2],
          [3, 4],
        ],
        raw: Buffer.from([0, 255, 92]),
        code: 'abc',
        price: '12.50',
      }
      const names = Object.keys(value) as (keyof typeof value)[]
      const apply = applyBatch<Record<string, unknown>>({
        db: base.db,
        table: 'odd "table" ; --',
        id: 'the id',
        columns: Object.fromEntries(names.map((column) => [column, ({ body }) => body[column]])),
      })
      const nulls = message<Record<string, unknown>>("it's; null", {})
      expect(await apply([message<Record<string, unknown>>('full', value), nulls], context)).toEqual(done(2))
      const [full, empty] = await base.run('SELECT * FROM "odd ""table"" ; --" ORDER BY n NULLS LAST')
      expect(full).toMatchObject({
        ...value,
        'the id': 'full',
        big: expect.anything(),
        raw: expect.anything(),
      })
      expect(String(full?.big)).toBe('1152921504606846976')
      expect(Buffer.from(full?.raw as Uint8Array)).toEqual(value.raw)
      expect(empty).toEqual({
        'the id': "it's; null",
        ...Object.fromEntries(names.map((column) => [column, null])),
      })
    })

    it('writes the newest state of a thing, whatever order states come in', async () => {
      await base.run('DROP TABLE chats')
      await base.run('CREATE TABLE chats (id text PRIMARY KEY, text text, version int)')
      const apply = applyBatch<{ of: string; text: string; version: number }>({
        db: base.db,
        table: 'chats',
        id: 'id',
        key: ({ body }) => body.of,
        columns: { text: ({ body }) => body.text, version: ({ body }) => body.version },
        onConflict: 'update',
        newest: 'version',
      })
      const state = (of: string, version: number) =>
        message(`${of}${version}`, { of, version, text: `v${version}` })
      await apply([state('a', 1), state('b', 1), state('a', 2)], context)
      await apply([state('b', 3), state('a', 1)], context)
      expect(await base.run('SELECT id, text FROM chats ORDER BY id')).toEqual([
        { id: 'a', text: 'v2' },
        { id: 'b', text: 'v3' },
      ])
    })

    it('does more in the same transaction for new rows only, and for none when that fails', async () => {
      const told: string[][] = []
      const also: ApplyOptions<Chat>['also'] = async (tx, fresh) => {
        told.push(fresh.map(({ id }) => id))
        await tx.query("UPDATE chats SET session = 'seen' WHERE id = $1", [fresh[0]!.id])
        if (told.length === 1) throw new Error('the effect failed')
      }
      const apply = insert({ also })
      await expect(apply(chats(['a', 'b']), context)).rejects.toThrow('the effect failed')
      expect(await base.run('SELECT id FROM chats')).toEqual([])
      await apply(chats(['a', 'b']), context)
      await apply(chats(['b', 'c']), context)
      await apply(chats(['c']), context)
      expect(told).toEqual([['a', 'b'], ['a', 'b'], ['c']])
    })

    it('refuses options that cannot work, before anything is sent', () => {
      const bad: [Partial<ApplyOptions<Chat>>, RegExp][] = [
        [{ table: 'a.b.c' }, /table/],
        [{ columns: { ['x'.repeat(64)]: () => 1 } }, /column/],
        [{ columns: { id: () => 1 } }, /id column/],
        [{ onConflict: 'replace' as never }, /onConflict/],
        [{ newest: 'text' }, /newest/],
        [{ types: { text: 'text); DROP TABLE chats; --' } }, /types\.text/],
        [{ colums: {} } as never, /did you mean 'columns'/],
        [{ also: async () => {}, onConflict: 'update' }, /also/],
      ]
      for (const [more, why] of bad) {
        expect(() => insert(more)).toThrow(InvalidOption)
        expect(() => insert(more)).toThrow(why)
      }
    })

    it('gives any other effect once, with a table of ids in the same transaction [S0-23]', async () => {
      await createAppliedTable(base.db)
      await createAppliedTable(base.db)
      await base.run('CREATE TABLE parents (id text, n int)')
      await base.run("INSERT INTO parents VALUES ('sum', 0)")
      let failing = true
      const apply = applyOnce<{ add: number }>({
        db: base.db,
        effect: async (tx, fresh) => {
          for (const { body } of fresh) await tx.query('UPDATE parents SET n = n + $1', [body.add])
          if (failing) throw new Error('after the effect')
        },
      })
      const batch = [1, 2, 3, 4].map((add) => message(`m${add}`, { add }))
      await expect(apply(batch, context)).rejects.toThrow('after the effect')
      failing = false
      const again = [batch.slice(0, 2), batch.slice(1, 4), batch, [batch[0]!, batch[0]!]]
      await Promise.all(again.map((some) => apply(some, context)))
      expect(await base.run('SELECT n FROM parents')).toEqual([{ n: 10 }])
      const ids = await inTransaction(base.db, (tx) => applied(tx, ['m4', 'm9', 'm9']))
      expect([...ids]).toEqual(['m9'])
      await base.run('DROP TABLE parents')
    })

    it('forgets ids by age', async () => {
      await createAppliedTable(base.db, 'holdfast_applied')
      await base.run(
        "INSERT INTO holdfast_applied SELECT 'old' || n, now() - interval '8 days' FROM generate_series(1, 25000) n",
      )
      await inTransaction(base.db, (tx) => applied(tx, ['new']))
      expect(await pruneApplied(base.db, '7d')).toBe(25_000)
      expect(await base.run('SELECT id FROM holdfast_applied')).toEqual([{ id: 'new' }])
    })

    it('ends a transaction whose time is over, and undoes it', async () => {
      const slow = inTransaction(
        base.db,
        async (tx) => {
          await tx.query("INSERT INTO chats (id, session) VALUES ('slow', 's')")
          await new Promise((_, reject) => setTimeout(reject, 1_000, new Error('too late anyway')))
        },
        { timeout: 100 },
      )
      await expect(slow).rejects.toMatchObject({ code: 'APPLY_TIMEOUT' })
      await expect
        .poll(() => base.run("SELECT id FROM chats WHERE id = 'slow'"), { timeout: 10_000 })
        .toEqual([])
      const stop = new AbortController()
      const stopped = inTransaction(base.db, () => new Promise((_, reject) => setTimeout(reject, 200)), {
        signal: stop.signal,
      })
      stop.abort(new Error('shut down'))
      await expect(stopped).rejects.toThrow('shut down')
      expect(await insert()(chats(['after']), context)).toEqual(done(1))
    })
  })
}
