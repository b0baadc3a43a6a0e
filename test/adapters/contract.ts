import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { type Answer, type Asking, call, isHit, Visitor } from './wire.ts'

/** Two servers of one application: two processes that share a Redis, or twice the same in one memory. */
export interface Pair {
  readonly urls: readonly [string, string]
  /** How often a handler was called, over all processes. */
  calls(name: string): Promise<number>
  purge(tag: string): Promise<void>
  seed(id: string, title: string): Promise<void>
  close(): Promise<void>
}

let keys = 0
const freshKey = () => `"key-${process.pid}-${++keys}"`
/** An address of the documentation block that no other test used. */
let addresses = 0
const freshAddress = () => `203.0.113.${++addresses}`

/** Asks until the answer comes from the store: the first client has it before the store does. */
const hitOn = (base: string, path: string): Promise<Answer> =>
  until(`${path} is a hit`, async () => {
    const answer = await call(base, path)
    return isHit(answer) ? answer : undefined
  })

/** What every adapter does, over real sockets. */
export function adapterContract(name: string, start: () => Promise<Pair>): void {
  describe(name, () => {
    let pair: Pair
    let one: string
    let two: string
    beforeAll(async () => {
      pair = await start()
      ;[one, two] = pair.urls
    })
    afterAll(() => pair?.close())

    describe('caching', () => {
      it('answers a repeated GET from the store, in the other process too, and says so [S3-2] [S3-12] [S3-13]', async () => {
        await pair.seed('a', 'first')
        const miss = await call(one, '/tasks/a')
        expect(miss.status).toBe(200)
        expect(miss.json()).toEqual({ title: 'first', version: 1 })
        expect(miss.headers['cache-status']).toMatch(/fwd=uri-miss/)
        expect(miss.headers['cache-status']).toMatch(/stored/)
        for (const base of [one, two]) {
          const hit = await hitOn(base, '/tasks/a')
          expect(hit.body).toEqual(miss.body)
          expect(hit.headers['content-type']).toBe(miss.headers['content-type'])
        }
        expect(await pair.calls('task a')).toBe(1)
      })

      it('gives an entry no longer life than its route says [S3-14]', async () => {
        await pair.seed('life', 'first')
        await call(one, '/tasks/life')
        const hit = await hitOn(two, '/tasks/life')
        const ttl = /ttl=(\d+)/.exec(hit.headers['cache-status'] ?? '')?.[1]
        expect(Number(ttl)).toBeGreaterThan(200)
        expect(Number(ttl)).toBeLessThanOrEqual(300)
      })

      it('drops what a PATCH changed before the PATCH is answered, in every process [S3-1] [S3-3] [S3-15]', async () => {
        await pair.seed('b', 'old')
        for (let round = 0; round < 3; round++) {
          await Promise.all([call(one, '/tasks/b'), call(two, '/tasks/b')])
          const patched = await call(one, '/tasks/b', { method: 'PATCH', data: { title: `new ${round}` } })
          expect(patched.status).toBe(200)
          for (const base of [two, one]) {
            const after = await call(base, '/tasks/b')
            expect(after.json().title).toBe(`new ${round}`)
          }
          await hitOn(two, '/tasks/b')
        }
        expect((await call(two, '/tasks/b', { method: 'DELETE' })).status).toBe(204)
        expect((await call(one, '/tasks/b')).status).toBe(404)
      })

      it('calls the handler once for many that ask together [S3-2]', async () => {
        await pair.seed('together', 'one')
        const answers = await Promise.all(
          Array.from({ length: 40 }, (_, n) => call(n % 2 ? one : two, '/tasks/together')),
        )
        for (const answer of answers) expect(answer.json()).toEqual({ title: 'one', version: 1 })
        expect(await pair.calls('task together')).toBeLessThanOrEqual(4)
      })

      it('clears every answer that carries a tag, whichever process stored it', async () => {
        await pair.seed('t1', 'x')
        await call(one, '/tasks/t1')
        await call(two, '/list')
        await hitOn(two, '/tasks/t1')
        await hitOn(one, '/list')
        await pair.purge('tasks')
        expect(isHit(await call(two, '/tasks/t1'))).toBe(false)
        expect(isHit(await call(one, '/list'))).toBe(false)
      })

      it('hands on surrogate keys, and clears by them [S2-48]', async () => {
        const first = await call(one, '/list')
        expect(first.status).toBe(200)
        await hitOn(two, '/list')
        await pair.purge('lists')
        expect(isHit(await call(two, '/list'))).toBe(false)
      })

      it('streams a body through and stores it whole, and never one that broke off', async () => {
        const first = await call(one, '/stream')
        const again = await hitOn(two, '/stream')
        expect(first.body.length).toBe(200_000)
        expect(again.body.equals(first.body)).toBe(true)
        for (const base of [one, two, one]) {
          const broken = await call(base, '/broken').catch(() => undefined)
          expect(broken === undefined || broken.broken || broken.status >= 500).toBe(true)
        }
        expect(await pair.calls('broken')).toBe(3)
      })

      it('answers HEAD, conditions and ranges from what GET stored', async () => {
        await pair.seed('h', 'head')
        const get = await call(one, '/tasks/h')
        await hitOn(two, '/tasks/h')
        const head = await call(two, '/tasks/h', { method: 'HEAD' })
        expect([head.status, head.body.length]).toEqual([200, 0])
        expect(isHit(head), head.headers['cache-status']).toBe(true)
        expect(head.headers['content-length']).toBe(String(get.body.length))
        const hit = await call(two, '/tasks/h')
        const etag = hit.headers.etag
        expect(etag).toBeTruthy()
        const same = await call(one, '/tasks/h', { headers: { 'if-none-match': String(etag) } })
        expect([same.status, same.body.length]).toEqual([304, 0])
        const other = await call(one, '/tasks/h', { headers: { 'if-none-match': '"other"' } })
        expect(other.status).toBe(200)
        const part = await call(two, '/tasks/h', { headers: { range: 'bytes=2-6' } })
        expect(part.status).toBe(206)
        expect(part.body.toString()).toBe(get.body.toString().slice(2, 7))
        expect(part.headers['content-range']).toBe(`bytes 2-6/${get.body.length}`)
        expect(await pair.calls('task h')).toBe(1)
      })

      it('keeps what is for one out of the store: Authorization, Cookie, private', async () => {
        await pair.seed('mine', 'mine')
        const credentials: Asking['headers'][] = [{ authorization: 'Bearer a' }, { cookie: 'sid=1' }]
        for (const headers of credentials) {
          for (const base of [one, two])
            expect(isHit(await call(base, '/tasks/mine', { headers }))).toBe(false)
        }
        expect(await pair.calls('task mine')).toBe(4)
        expect(isHit(await call(one, '/tasks/mine'))).toBe(false)
        for (const base of [one, two, one]) expect(isHit(await call(base, '/private'))).toBe(false)
      })

      it('sets the fields of other middleware anew for each answer', async () => {
        await pair.seed('fresh', 'fresh')
        const seen = new Set<string | undefined>()
        for (const base of [one, one, two]) seen.add((await call(base, '/tasks/fresh')).headers['x-request'])
        expect(seen.size).toBe(3)
        expect(seen.has(undefined)).toBe(false)
      })

      it('refreshes behind a stale answer, or waits for the handler where it cannot', async () => {
        const first = (await call(one, '/stale')).json<{ call: number }>()
        await new Promise((resolve) => setTimeout(resolve, 50))
        const newer = await until('a newer answer', async () => {
          const answer = await call(one, '/stale')
          expect(answer.status).toBe(200)
          return answer.json<{ call: number }>().call > first.call
        })
        expect(newer).toBe(true)
      })

      it('lets the handler confirm what is stored by its validator, and answers the client what the client asked', async () => {
        const whole = await call(one, '/confirmed')
        expect([whole.status, whole.body.toString()]).toEqual([200, 'whole'])
        await until('the handler confirmed it', async () => {
          const answer = await call(two, '/confirmed')
          expect([answer.status, answer.body.toString()]).toEqual([200, 'whole'])
          return (await pair.calls('confirmed')) > 0
        })
        for (const base of [one, two]) {
          const answer = await call(base, '/confirmed')
          expect([answer.status, answer.body.toString()]).toEqual([200, 'whole'])
          const same = await call(base, '/confirmed', { headers: { 'if-none-match': '"v1"' } })
          expect([same.status, same.body.length]).toEqual([304, 0])
        }
      })

      it("leaves errors to the framework's own handling, and does not store them", async () => {
        for (const base of [one, two, one]) {
          const failed = await call(base, '/boom')
          expect(failed.status).toBe(418)
          expect(failed.json()).toEqual({ handled: 'kaboom' })
        }
        expect(await pair.calls('boom')).toBe(3)
      })

      it('takes methods, targets and fields that are none of the usual without falling', async () => {
        await pair.seed('odd', 'odd')
        const odd: Asking['headers'][] = [
          { range: 'bytes=9-2' },
          { range: 'lines=1-2' },
          { 'if-modified-since': 'yesterday' },
          { 'if-none-match': '*' },
          { 'cache-control': 'max-age=x, no-cache="', pragma: 'no-cache' },
          { 'if-none-match': ['"a"', 'W/"b"'] },
        ]
        for (const headers of odd) {
          expect((await call(one, '/tasks/odd', { headers })).status).toBeLessThan(500)
        }
        expect((await call(one, '/tasks/odd?x=%zz&y=1')).status).toBeLessThan(500)
        expect((await call(one, '/no/such/route')).status).toBe(404)
      })

      it('stores nothing of an answer whose client went away, or stores it whole', async () => {
        const away = new AbortController()
        const asked = call(one, '/slow', { signal: away.signal }).catch(() => 'aborted')
        await until('the handler began', async () => (await pair.calls('slow')) > 0)
        away.abort()
        expect(await asked).toBe('aborted')
        const answer = await call(two, '/slow')
        expect([answer.status, answer.json()]).toEqual([200, { slept: 400 }])
      })
    })

    describe('limits', () => {
      it('answers the call after the last with 429 and says when to come back [S0-7] [S0-8] [S0-9] [S4-1]', async () => {
        const answers: Answer[] = []
        for (let n = 0; n < 4; n++) answers.push(await call(n % 2 ? one : two, '/limited'))
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429])
        expect(answers[0]?.headers['ratelimit-policy']).toBe('"3/1m";q=3;w=60')
        expect(answers[0]?.headers.ratelimit).toMatch(/^"3\/1m";r=2/)
        const refused = answers[3]!
        expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/)
        expect(refused.headers.ratelimit).toMatch(/;r=0;t=\d+/)
        const retry = Number(refused.headers['retry-after'])
        expect(retry).toBeGreaterThan(0)
        expect(retry).toBeLessThanOrEqual(61)
        expect(refused.json()).toMatchObject({
          type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
          status: 429,
          'violated-policies': ['3/1m'],
        })
      })

      it('believes no X-Forwarded-For of a peer that is not trusted [S4-3]', async () => {
        // Used up by the test before, by this very peer.
        for (let n = 0; n < 4; n++) {
          const spoofed = await call(one, '/limited', { headers: { 'x-forwarded-for': freshAddress() } })
          expect(spoofed.status).toBe(429)
        }
        const twice = { 'x-forwarded-for': [freshAddress(), freshAddress()], forwarded: 'for=192.0.2.1' }
        expect((await call(two, '/limited', { headers: twice })).status).toBe(429)
      })

      it('tells the clients of a trusted proxy apart, IPv6 by the /64 [S4-3]', async () => {
        const status = async (address: string) =>
          (await call(one, '/limited-behind', { headers: { 'x-forwarded-for': address } })).status
        const busy = freshAddress()
        for (let n = 0; n < 3; n++) expect(await status(busy)).toBe(200)
        expect(await status(busy)).toBe(429)
        expect(await status(freshAddress())).toBe(200)
        // What the client itself put in front does not count: the proxy appends.
        expect(await status(`198.51.100.1, ${busy}`)).toBe(429)
        for (const last of ['::1', '::2', '::3']) expect(await status(`2001:db8:7:7${last}`)).toBe(200)
        expect(await status('2001:db8:7:7:ffff::9')).toBe(429)
        expect(await status('2001:db8:7:8::1')).toBe(200)
      })

      it('limits per user and per address together, and leaves another user alone [S0-7] [S4-3]', async () => {
        const ask = (user: string, base = one) => call(base, '/limited-user', { headers: { 'x-user': user } })
        expect((await ask('ada')).status).toBe(200)
        expect((await ask('ada', two)).headers['x-ratelimit-remaining']).toBe('0')
        expect((await ask('ada')).status).toBe(429)
        expect((await ask('bob')).status).toBe(200)
      })

      it('refuses a name that cannot be one with 400, not with 500', async () => {
        const odd = await call(one, '/limited-user', { headers: { 'x-user': '\x85' } })
        expect(odd.status).toBe(400)
        expect(odd.headers['content-type']).toMatch(/^application\/problem\+json/)
      })
    })

    describe('idempotent requests', () => {
      const order = (base: string, key: string | undefined, data: unknown, path = '/orders') =>
        call(base, path, {
          method: 'POST',
          data,
          headers: key === undefined ? {} : { 'idempotency-key': key },
        })

      it('runs once and hands out the same status, fields and body again, in the other process too', async () => {
        const key = freshKey()
        const before = await pair.calls('order')
        const first = await order(one, key, { total: 7 })
        expect(first.status).toBe(201)
        expect(first.headers['idempotency-replayed']).toBeUndefined()
        expect(first.headers['set-cookie']).toMatch(/^secret=sesame/)
        for (const base of [one, two]) {
          const again = await order(base, key, { total: 7 })
          expect(again.status).toBe(201)
          expect(again.headers['idempotency-replayed']).toBe('true')
          expect(again.headers.location).toBe('/orders/1')
          expect(again.headers['content-type']).toBe(first.headers['content-type'])
          expect(again.headers['set-cookie'], 'a secret is not kept').toBeUndefined()
          expect(again.body).toEqual(first.body)
        }
        expect((await pair.calls('order')) - before).toBe(1)
      })

      it('takes the bare form of a key for the same as the quoted one, and keys in another order for the same body', async () => {
        const key = freshKey()
        const first = await order(one, key, { a: 1, b: 2 })
        const again = await order(two, key.slice(1, -1), { b: 2, a: 1 })
        expect(again.body).toEqual(first.body)
        expect(again.headers['idempotency-replayed']).toBe('true')
      })

      it('refuses another payload under the same key with 422, another target too', async () => {
        const key = freshKey()
        await order(one, key, { total: 1 })
        for (const other of [
          await order(two, key, { total: 2 }),
          await order(one, key, { total: 1 }, '/orders?x=1'),
        ]) {
          expect(other.status).toBe(422)
          expect(other.headers['content-type']).toMatch(/^application\/problem\+json/)
        }
      })

      it('answers 409 while the first request runs, wherever it runs', async () => {
        const key = freshKey()
        const before = await pair.calls('order')
        const first = order(one, key, { total: 3 }, '/slow-orders')
        await until('it runs', async () => (await pair.calls('order')) > before)
        const second = await order(two, key, { total: 3 }, '/slow-orders')
        expect(second.status).toBe(409)
        expect(Number(second.headers['retry-after'])).toBeGreaterThan(0)
        expect((await first).status).toBeLessThan(300)
        expect((await order(two, key, { total: 3 }, '/slow-orders')).body).toEqual((await first).body)
        expect((await pair.calls('order')) - before).toBe(1)
      })

      it('refuses a missing or malformed key with 400 and runs nothing', async () => {
        const before = await pair.calls('order')
        for (const key of [
          undefined,
          '',
          '""',
          '"a',
          'a b',
          '"a", "b"',
          'a,b',
          `"${'x'.repeat(256)}"`,
          '"caf\u00e9"',
          '"a\\b"',
          'x'.repeat(4_000),
        ]) {
          const answer = await order(one, key, { total: 1 })
          expect(answer.status, String(key)).toBe(400)
          expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
        }
        const twice = await call(one, '/orders', {
          method: 'POST',
          data: { total: 1 },
          headers: { 'idempotency-key': ['"one"', '"two"'] },
        })
        expect(twice.status).toBe(400)
        expect(await pair.calls('order')).toBe(before)
        expect((await order(one, undefined, { total: 1 }, '/optional')).status).toBeLessThan(300)
      })

      it('never hands one sender the answer of another', async () => {
        const key = freshKey()
        const as = (authorization: string) =>
          call(one, '/orders', {
            method: 'POST',
            data: { t: 1 },
            headers: { 'idempotency-key': key, authorization },
          })
        const ada = await as('Bearer ada')
        const bob = await as('Bearer bob')
        expect(bob.headers['idempotency-replayed']).toBeUndefined()
        expect(bob.body).not.toEqual(ada.body)
        expect((await as('Bearer ada')).body).toEqual(ada.body)
      })

      it('frees the key after an error, or keeps the error where that is asked for', async () => {
        const key = freshKey()
        const tries = [await order(one, key, {}, '/failing'), await order(two, key, {}, '/failing')]
        expect(tries.map(({ status }) => status)).toEqual([402, 402])
        expect(tries[1]?.headers['idempotency-replayed']).toBeUndefined()
        const kept = freshKey()
        const first = await order(one, kept, {}, '/failing-kept')
        const again = await order(two, kept, {}, '/failing-kept')
        expect([again.status, again.headers['idempotency-replayed']]).toEqual([402, 'true'])
        expect(again.body).toEqual(first.body)
      })

      it('sends a large answer through, and says that it was done where it is asked for again', async () => {
        const key = freshKey()
        const first = await order(one, key, {}, '/optional?size=5000')
        expect(first.json<{ filler: string }>().filler).toHaveLength(5_000)
        const again = await order(two, key, {}, '/optional?size=5000')
        expect(again.status).toBe(409)
        expect(again.json().title).toBe('Already done')
      })

      it('runs to its end although the client went away, and has the answer ready for the next try', async () => {
        const key = freshKey()
        const before = await pair.calls('order')
        const away = new AbortController()
        const asked = call(one, '/slow-orders', {
          method: 'POST',
          data: { total: 9 },
          headers: { 'idempotency-key': key },
          signal: away.signal,
        }).catch(() => 'aborted')
        await until('it runs', async () => (await pair.calls('order')) > before)
        away.abort()
        expect(await asked).toBe('aborted')
        const again = await until('the answer', async () => {
          const answer = await order(two, key, { total: 9 }, '/slow-orders')
          return answer.status === 409 ? undefined : answer
        })
        expect(again.status).toBeLessThan(300)
        expect(again.headers['idempotency-replayed']).toBe('true')
        expect((await pair.calls('order')) - before).toBe(1)
      })

      it('leaves a body that is too large to the framework', async () => {
        const answer = await order(one, freshKey(), { filler: 'x'.repeat(150_000) }).catch(() => undefined)
        // Some frameworks close the connection on such a body.
        expect(answer === undefined || answer.status === 413).toBe(true)
      })
    })

    describe('sessions', () => {
      const post = (visitor: Visitor, base: string, path: string, data: unknown) =>
        visitor.call(base, path, { method: 'POST', data })

      it('sets no cookie before there is something to keep, and then one that scripts cannot read', async () => {
        const visitor = new Visitor()
        expect((await visitor.call(one, '/session')).json()).toEqual({ items: [], user: null })
        expect(visitor.lastSetCookie).toBeUndefined()
        await post(visitor, one, '/session/add', { item: 'tea' })
        expect(visitor.lastSetCookie).toMatch(
          /^__Host-sid=[\w.~-]{16,}; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
        )
        await post(visitor, two, '/session/add', { item: 'rice' })
        expect(visitor.lastSetCookie).toBeUndefined()
        expect((await visitor.call(one, '/session')).json()).toEqual({ items: ['tea', 'rice'], user: null })
      })

      it('gives a new id at a login, after which the old one is dead, and ends with a logout', async () => {
        const visitor = new Visitor()
        await post(visitor, one, '/session/add', { item: 'tea' })
        const planted = new Visitor()
        for (const [name, value] of visitor.jar) planted.jar.set(name, value)
        expect((await post(visitor, two, '/session/login', { user: 'ada' })).json().user).toBe('ada')
        expect((await visitor.call(one, '/session')).json()).toEqual({ items: ['tea'], user: 'ada' })
        expect((await planted.call(one, '/session')).json()).toEqual({ items: [], user: null })
        expect(planted.lastSetCookie, 'a dead id is taken from the browser').toMatch(/Max-Age=0/)
        await post(visitor, one, '/session/logout', {})
        expect(visitor.lastSetCookie).toMatch(/^__Host-sid=; Max-Age=0/)
        expect(visitor.jar.size).toBe(0)
      })

      it('ignores cookies that are none of its own', async () => {
        for (const cookie of [
          '__Host-sid=short',
          '__Host-sid="; x=1',
          '=;=',
          `__Host-sid=${'z'.repeat(600)}`,
        ]) {
          const answer = await call(one, '/session', { headers: { cookie } })
          expect([answer.status, answer.json().user]).toEqual([200, null])
        }
      })
    })

    it('says that it is well', async () => {
      const health = await call(one, '/health')
      expect(health.status).toBe(200)
      expect(health.json()).toMatchObject({ status: 'ok' })
      expect(health.headers['cache-control']).toBe('no-store')
      expect(health.body.toString()).not.toMatch(/127\.0\.0\.1/)
    })
  })
}
