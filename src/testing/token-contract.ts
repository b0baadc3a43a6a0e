import assert from 'node:assert/strict'
import { ConfigError, InvalidOption } from '../base/errors.ts'
import { TokenEndpointError, TokenReauthNeeded } from '../token/errors.ts'
import type { TokensOptions } from '../token/options.ts'
import type { Tokens } from '../token/tokens.ts'
import type { TestApi } from './test-api.ts'
import { type FakeEndpoint, fakeEndpoint } from './token-endpoint.ts'
import { pause, reaches } from './waiting.ts'

/** Makes two views of the same tokens, as two processes have them. */
export interface TokenBackend {
  open(options: TokensOptions): readonly [Tokens, Tokens]
  close(): Promise<void>
}

/** What every place for tokens must do. Each `it` names the requirement that it proves. */
export function tokenContract(api: TestApi, backend: string, open: () => Promise<TokenBackend>): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`tokens in ${backend}`, () => {
    let place: TokenBackend
    let clients = 0
    beforeAll(async () => {
      place = await open()
    })
    afterAll(() => place.close())
    const fresh = (options: Partial<TokensOptions> = {}): readonly [Tokens, Tokens, FakeEndpoint] => {
      const endpoint = fakeEndpoint(pause)
      const client = {
        tokenUrl: 'https://id.example.com/token',
        clientId: `client-${++clients}`,
        clientSecret: 'secret-of-the-client',
        fetch: endpoint.fetch,
        local: 0,
        ...options,
      }
      return [...place.open(client), endpoint]
    }
    const granted = async (options: Partial<TokensOptions> = {}) => {
      const [one, two, endpoint] = fresh({ grant: 'refresh_token', ...options })
      await one.for('u').exchange({ code: 'c' })
      return [one.for('u'), two.for('u'), endpoint] as const
    }

    it('asks the endpoint once for a hundred parallel first requests of two processes [L29] [S0-5]', async () => {
      const [one, two, endpoint] = fresh()
      endpoint.delayMs = 20
      const got = await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 ? one : two).get()))
      assert.equal(new Set(got).size, 1)
      assert.equal(endpoint.calls, 1)
    })

    it('sends the parameters as given, and keeps tokens of other parameters and subjects apart [L30]', async () => {
      const options = { params: { scopes: 'PublicApi.Access', audience: 'x' }, clientId: 'kiot' }
      const [one, , endpoint] = fresh(options)
      await one.get()
      await one.for('shop-2').get()
      const [same, , other] = fresh({ ...options, params: { audience: 'x', scopes: 'PublicApi.Access' } })
      await same.get()
      const [different, , third] = fresh({ ...options, params: { scopes: 'Other' } })
      await different.get()
      assert.deepEqual(endpoint.forms[0], {
        grant_type: 'client_credentials',
        client_id: 'kiot',
        client_secret: 'secret-of-the-client',
        scopes: 'PublicApi.Access',
        audience: 'x',
      })
      assert.deepEqual([endpoint.calls, other.calls, third.calls], [2, 0, 1])
    })

    it('honours expires_in as number and as text, and has a default where there is none [L30] [B4]', async () => {
      for (const [given, seconds] of [
        [86_400, 86_400],
        ['3600', 3_600],
        [undefined, 3_600],
        [120, 120],
      ] as const) {
        const [one, , endpoint] = fresh()
        endpoint.expiresIn = given
        await one.get()
        const { usableForMs } = await one.describe()
        const margin = Math.min(Math.max(60, seconds / 20), seconds / 2)
        assert.ok(usableForMs <= (seconds - margin) * 1_000, `${String(given)}: ${usableForMs}`)
        assert.ok(usableForMs > (seconds - margin) * 1_000 - 5_000, `${String(given)}: ${usableForMs}`)
      }
    })

    it('fetches again before a short token ends [S0-6] [B4]', async () => {
      const [one, two, endpoint] = fresh()
      endpoint.expiresIn = 0.4
      const first = await one.get()
      await reaches(async () => (await two.get()) !== first)
      assert.ok(endpoint.calls >= 2)
    })

    it('renews ahead behind its users, in one process only, while all go on with the old token [L29]', async () => {
      const [one, two, endpoint] = fresh({ margin: 0 })
      endpoint.expiresIn = 3
      const first = await one.get()
      let answer = () => {}
      endpoint.gate = new Promise((resolve) => {
        answer = resolve
      })
      await reaches(async () => {
        assert.equal(await two.get(), first)
        assert.equal(await one.get(), first)
        return endpoint.calls === 2
      })
      // The endpoint has not answered yet, and nobody waits for it.
      for (const tokens of [one, two, one, two]) assert.equal(await tokens.get(), first)
      answer()
      await reaches(async () => (await one.get()) !== first && (await two.get()) !== first)
      assert.equal(await one.get(), await two.get())
      assert.equal(endpoint.calls, 2)
    })

    it('keeps the refresh token where the endpoint sends none back, so a second refresh works [L29]', async () => {
      const [one, two, endpoint] = await granted()
      endpoint.expiresIn = 0.05
      for (const tokens of [one, two, one]) {
        await one.invalidate(await tokens.get())
        await pause(60)
        await tokens.get()
      }
      const refreshes = endpoint.forms.filter((form) => form.grant_type === 'refresh_token')
      assert.ok(refreshes.length >= 3)
      for (const form of refreshes) assert.equal(form.refresh_token, 'rt-0')
    })

    it('uses each rotated refresh token once, over two processes [L29]', async () => {
      const [one, two, endpoint] = await granted({ dropEvery: 0 })
      endpoint.rotating = true
      endpoint.delayMs = 5
      for (let round = 0; round < 5; round++) {
        await one.invalidate(await two.get())
        await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? one : two).get()))
      }
      const used = endpoint.forms.map((form) => form.refresh_token).filter((each) => each !== undefined)
      assert.equal(new Set(used).size, used.length)
      assert.equal(used.length, 5)
      assert.equal((await one.describe()).state, 'valid')
    })

    it('remembers invalid_grant in all processes until there is a new grant', async () => {
      const [one, two, endpoint] = await granted()
      await one.adopt('rt-unknown')
      await assert.rejects(() => one.get(), TokenReauthNeeded)
      const { calls } = endpoint
      for (const tokens of [one, two, two]) await assert.rejects(() => tokens.get(), TokenReauthNeeded)
      assert.equal(endpoint.calls, calls)
      assert.equal((await two.describe()).state, 'needs-reauth')
      await two.exchange({ code: 'again' })
      assert.match(await one.get(), /^at-/)
    })

    it('says that there is no grant, without asking', async () => {
      const [one, , endpoint] = fresh({ grant: 'refresh_token' })
      await assert.rejects(() => one.for('nobody').get(), TokenReauthNeeded)
      assert.equal(endpoint.calls, 0)
    })

    it('drops a token only if it is still that one, and not again at once', async () => {
      const [one, two, endpoint] = fresh({ dropEvery: '10s' })
      const first = await one.get()
      assert.equal(await one.invalidate('something else'), true)
      assert.equal(await two.get(), first)
      const answers = await Promise.all([one, two, one, two].map((tokens) => tokens.invalidate(first)))
      assert.deepEqual(answers, [true, true, true, true])
      const second = await two.get()
      assert.notEqual(second, first)
      assert.equal(endpoint.calls, 2)
      assert.equal(await one.invalidate(second), false)
      assert.equal(await one.get(), second)
      assert.equal(endpoint.calls, 2)
    })

    it('does not hammer an endpoint that fails: the others hear of it and wait', async () => {
      const [one, two, endpoint] = fresh()
      endpoint.answer = () => Response.json({}, { status: 503, headers: { 'retry-after': '1' } })
      const failures = await Promise.allSettled(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? one : two).get()),
      )
      assert.ok(
        failures.every((each) => each.status === 'rejected' && each.reason instanceof TokenEndpointError),
      )
      assert.equal(endpoint.calls, 1)
      const refused = await two.get().catch((error: unknown) => error)
      assert.ok(refused instanceof TokenEndpointError && refused.reason === 'paused')
      assert.ok(refused.retryAfter && refused.retryAfter <= 1_000)
      endpoint.answer = undefined
      await reaches(async () => Boolean(await two.get().catch(() => undefined)))
      assert.equal(endpoint.calls, 2)
    })

    it('goes on with a token that is still good while the endpoint fails', async () => {
      const [one, , endpoint] = fresh()
      endpoint.expiresIn = 4
      const first = await one.get()
      endpoint.answer = () => new Response('<h1>Bad Gateway</h1>', { status: 502 })
      await reaches(async () => {
        assert.equal(await one.get(), first)
        return endpoint.calls > 1
      })
      endpoint.answer = undefined
      await reaches(async () => (await one.get()) !== first)
    })

    it('forgets token and grant', async () => {
      const [one, two] = await granted()
      await two.forget()
      await assert.rejects(() => two.get(), TokenReauthNeeded)
      await assert.rejects(() => one.get(), TokenReauthNeeded)
      assert.deepEqual(await one.describe(), {
        state: 'absent',
        fingerprint: undefined,
        usableForMs: 0,
        hasGrant: false,
      })
    })

    it('takes refresh tokens over from a client secret that was in use before', async () => {
      const encryption = { keys: { k: Buffer.alloc(32, 7).toString('base64') } }
      const client = { grant: 'refresh_token', clientId: 'rotating-client' } as const
      for (const shared of [{}, { encryption }]) {
        const [old] = fresh({ ...client, ...shared, clientSecret: 'old-secret' })
        await old.for('u').exchange({ code: 'c' })
        const [renewed, , endpoint] = fresh({ ...client, ...shared, previousSecrets: ['old-secret'] })
        assert.match(await renewed.for('u').get(), /^at-/)
        assert.equal(endpoint.forms[0]?.refresh_token, 'rt-0')
      }
    })

    it('refuses options that cannot be meant', async () => {
      const refused: [Partial<TokensOptions>, new (...args: never[]) => Error][] = [
        [{ tokenUrl: 'http://id.example.com/token' }, ConfigError],
        [{ tokenUrl: 'ftp://x' }, ConfigError],
        [{ tokenUrl: 'https://u:p@id.example.com/token' }, ConfigError],
        [{ clientSecret: undefined }, ConfigError],
        [{ clientSecret: '' }, ConfigError],
        [{ params: { grant_type: 'x' } }, InvalidOption],
        [{ deadline: -1 }, InvalidOption],
      ]
      for (const [options, error] of refused) assert.throws(() => fresh(options), error)
      assert.throws(() => fresh({ tokenUrl: 'http://id.example.com/x' }), /not encrypted/)
    })
  })
}
