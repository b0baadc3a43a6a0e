import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AdminOptions } from '../../src/admin/admin.ts'
import { closeDesks, openDesk, requestOf } from './desk.ts'

const ISSUER = 'https://id.example'
const AUDIENCE = 'holdfast-admin'
const SECRET = 's'.repeat(32)

let pair: Awaited<ReturnType<typeof generateKeyPair>>
let other: typeof pair
let pem: string
let jwksUrl: string
let fetches = 0
const server = createServer(async (_req, res) => {
  fetches++
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }
  res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }))
})
beforeAll(async () => {
  pair = await generateKeyPair('RS256', { extractable: true })
  other = await generateKeyPair('RS256', { extractable: true })
  pem = await exportSPKI(pair.publicKey)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
})
afterEach(closeDesks)
afterAll(() => {
  server.close()
})

type Sign = (change?: (jwt: SignJWT) => SignJWT, claims?: Record<string, unknown>) => Promise<string>

const signer =
  (alg: string, key: Parameters<SignJWT['sign']>[0]): Sign =>
  (change = (jwt) => jwt, claims = { edition: 'business' }) =>
    change(
      new SignJWT(claims)
        .setProtectedHeader({ alg, kid: 'k1' })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject('ada')
        .setExpirationTime('5m'),
    ).sign(key)

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const KINDS = ['HS256', 'RS256', 'JWKS'] as const

describe.each(KINDS)('tokens signed by %s', (kind) => {
  async function setUp() {
    const key = kind === 'HS256' ? { secret: SECRET } : kind === 'RS256' ? { publicKey: pem } : { jwksUrl }
    const jwt: AdminOptions['jwt'] = { ...key, issuer: ISSUER, audience: AUDIENCE }
    const { admin, ask, hf } = await openDesk(undefined, { tokens: undefined, jwt })
    const status = async (token: string, method = 'GET', path = '/api/v1/me') =>
      (await admin.fetch(requestOf(method, path, token), { address: '10.0.0.1' })).status
    const hs = signer('HS256', new TextEncoder().encode(SECRET))
    return { hf, ask, status, sign: kind === 'HS256' ? hs : signer('RS256', pair.privateKey) }
  }

  it('open what their edition opens, until they end, to whom they are made out [S3-38, S3-40, S3-41]', async () => {
    const { status, sign } = await setUp()
    expect(await status(await sign())).toBe(200)
    expect(await status(await sign(), 'GET', '/api/v1/audit')).toBe(403)
    const admin = await sign(undefined, { edition: 'enterprise' })
    expect(await status(admin, 'GET', '/api/v1/audit')).toBe(200)
    const refused = {
      expired: await sign((jwt) => jwt.setExpirationTime('-1m')),
      'without an end': await sign(undefined, { edition: 'business' }).then(() =>
        kind === 'HS256'
          ? new SignJWT({ edition: 'business' })
              .setProtectedHeader({ alg: 'HS256' })
              .setIssuer(ISSUER)
              .setAudience(AUDIENCE)
              .sign(new TextEncoder().encode(SECRET))
          : new SignJWT({ edition: 'business' })
              .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
              .setIssuer(ISSUER)
              .setAudience(AUDIENCE)
              .sign(pair.privateKey),
      ),
      'not valid yet': await sign((jwt) => jwt.setNotBefore('5m')),
      'for another audience': await sign((jwt) => jwt.setAudience('shop')),
      'of another issuer': await sign((jwt) => jwt.setIssuer('https://evil.example')),
      'without an edition': await sign(undefined, {}),
      'of an edition that is none': await sign(undefined, { edition: 'root' }),
      'of an inherited word': await sign(undefined, { edition: 'constructor' }),
      'of a tenant without a name': await sign(undefined, { edition: 'enterprise', tenant: '' }),
      'by another key': await signer('RS256', other.privateKey)(),
    }
    for (const [what, token] of Object.entries(refused)) {
      expect([what, await status(token)]).toEqual([what, 401])
      expect([what, await status(token, 'DELETE', '/api/v1/cache/clear?pattern=*')]).toEqual([what, 401])
    }
  })

  it('are refused with their algorithm changed, their signature cut off or their claims exchanged [S3-41]', async () => {
    const { status, sign } = await setUp()
    const good = await sign()
    const [head, claims, signature] = good.split('.') as [string, string, string]
    const more = b64({ ...JSON.parse(Buffer.from(claims, 'base64url').toString()), edition: 'enterprise' })
    const tricks = [
      `${b64({ alg: 'none' })}.${claims}.`,
      `${b64({ alg: 'None', typ: 'JWT' })}.${claims}.`,
      `${b64({ alg: 'none' })}.${claims}.${signature}`,
      `${head}.${claims}.`,
      `${head}.${more}.${signature}`,
      `${head}.${claims}.${signature.slice(0, -4)}AAAA`,
      `${head}.${claims}`,
      '..',
      // The public key, which everybody knows, as if it were the shared secret.
      await signer('HS256', new TextEncoder().encode(pem))(),
      await signer('HS512', new TextEncoder().encode(SECRET.repeat(2)))(),
    ]
    for (const token of tricks)
      expect([token.slice(0, 80), await status(token)]).toEqual([token.slice(0, 80), 401])
  })

  it('keep a tenant inside its namespace, and are told to the audit log by their subject [S3-6]', async () => {
    const { hf, status, sign } = await setUp()
    await hf.cache.namespace('b').set('k', 1)
    const tenant = await sign(undefined, { edition: 'enterprise', tenant: 'a' })
    expect(await status(tenant, 'GET', '/api/v1/cache/keys')).toBe(200)
    expect(await status(tenant, 'GET', '/api/v1/cache/key/b%7Ck')).toBe(404)
    expect(await status(tenant, 'GET', '/api/v1/audit')).toBe(403)
  })
})

describe('tokens beside signed ones', () => {
  it('are not confused with them: a subject that has the name of a token is told apart [S3-41]', async () => {
    const jwt = { secret: SECRET, issuer: ISSUER, audience: AUDIENCE }
    const { admin, ask } = await openDesk(undefined, { jwt })
    const signed = await signer('HS256', new TextEncoder().encode(SECRET))((one) => one.setSubject('eve'))
    const response = await admin.fetch(requestOf('GET', '/api/v1/me', signed), { address: '10.0.0.1' })
    expect(await response.json()).toMatchObject({ name: 'jwt:eve', edition: 'business' })
    expect((await ask('GET', '/api/v1/me', 'E')).body.name).toBe('eve')
  })
})

describe('keys from an address', () => {
  it('are fetched once for many tokens [S3-40]', async () => {
    const jwt = { jwksUrl, issuer: ISSUER, audience: AUDIENCE }
    const { admin } = await openDesk(undefined, { tokens: undefined, jwt })
    const token = await signer('RS256', pair.privateKey)()
    const before = fetches
    for (let i = 0; i < 10; i++) {
      const { status } = await admin.fetch(requestOf('GET', '/api/v1/me', token), { address: '10.0.0.1' })
      expect(status).toBe(200)
    }
    expect(fetches - before).toBe(1)
  })
})
