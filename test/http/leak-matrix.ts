import type { HttpProfile, RouteOptions } from '../../src/http/options.ts'

/** What an application sees of a request. Names of fields in lower case. */
export interface LeakRequest {
  readonly method: string
  /** As the application's host shows it. */
  readonly url: string
  readonly host: string
  readonly scheme: 'http' | 'https'
  readonly headers: Readonly<Record<string, string | undefined>>
}

export interface LeakAnswer {
  readonly status?: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: string
}

export interface LeakAsk {
  readonly method?: string
  readonly url?: string
  readonly host?: string
  readonly scheme?: 'http' | 'https'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface LeakServer {
  ask(request: LeakAsk): Promise<{
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  }>
  close(): Promise<void>
}

/** A cache with an application behind it, to be tried by the matrix: the engine, or an adapter on a socket. */
export interface LeakSubject {
  /** False where hosts and schemes cannot be chosen freely. */
  readonly canChooseScheme: boolean
  start(
    app: (request: LeakRequest) => LeakAnswer | Promise<LeakAnswer>,
    options: { readonly profile: HttpProfile; readonly route: RouteOptions },
  ): Promise<LeakServer>
}

/** One way in which an answer for one could reach another. */
export interface LeakCase {
  readonly name: string
  readonly first: LeakAsk
  readonly second: LeakAsk
  /** Whose answer it is: the part of the request that the application's answer depends on. */
  readonly whose: (request: LeakRequest) => string | undefined
  /** Fields of the answer beside the ones that make it as cacheable as can be. */
  readonly answers?: (request: LeakRequest) => Partial<LeakAnswer>
  readonly route?: RouteOptions
  /** Held by the stricter profile alone: the standard allows it. */
  readonly onlySafe?: boolean
  readonly needsScheme?: boolean
}

const alice = (headers: Record<string, string> = {}): LeakAsk => ({ headers: { ...headers } })
const header = (name: string) => (request: LeakRequest) => request.headers[name]
const with_ = (headers: Record<string, string | readonly string[]>) => () => ({ headers })
const BOTH = [alice({ 'x-user': 'alice' }), alice({ 'x-user': 'bob' })] as const
const by = (name: string, a = 'alice', b = 'bob') => ({
  first: alice({ [name]: a }),
  second: alice({ [name]: b }),
  whose: header(name),
})
const user = (name: string, answers: LeakCase['answers'], more: Partial<LeakCase> = {}): LeakCase => ({
  name,
  first: BOTH[0],
  second: BOTH[1],
  whose: header('x-user'),
  ...(answers ? { answers } : {}),
  ...more,
})
const identity = (request: { headers: Readonly<Record<string, unknown>> }): string | undefined =>
  request.headers['x-user'] as string | undefined

export const LEAK_CASES: readonly LeakCase[] = [
  { name: 'two Authorization values', ...by('authorization', 'Bearer alice', 'Bearer bob') },
  {
    name: 'two Authorization values and s-maxage',
    ...by('authorization', 'Bearer alice', 'Bearer bob'),
    answers: with_({ 'cache-control': 's-maxage=60' }),
    onlySafe: true,
  },
  {
    name: 'two Authorization values and must-revalidate',
    ...by('authorization', 'Bearer alice', 'Bearer bob'),
    answers: with_({ 'cache-control': 'max-age=60, must-revalidate' }),
    onlySafe: true,
  },
  {
    name: 'Authorization, then nobody',
    ...by('authorization', 'Bearer alice'),
    second: {},
    onlySafe: true,
  },
  {
    name: 'nobody, then Authorization',
    ...by('authorization'),
    first: {},
    second: alice({ authorization: 'Bearer bob' }),
    onlySafe: true,
  },
  { name: 'two Cookie values', ...by('cookie', 'sid=alice', 'sid=bob'), onlySafe: true },
  { name: 'a Cookie, then none', ...by('cookie', 'sid=alice'), second: {}, onlySafe: true },
  {
    name: 'none, then a Cookie',
    ...by('cookie'),
    first: {},
    second: alice({ cookie: 'sid=bob' }),
    onlySafe: true,
  },
  {
    name: 'two Cookie values and Vary: Cookie',
    ...by('cookie', 'sid=alice', 'sid=bob'),
    answers: with_({ vary: 'Cookie' }),
  },
  user(
    'an answer with Set-Cookie',
    ({ headers }) => ({ headers: { 'set-cookie': `sid=${headers['x-user']}` } }),
    {
      onlySafe: true,
    },
  ),
  user(
    'an answer with Set-Cookie that says public',
    ({ headers }) => ({
      headers: { 'cache-control': 'public, max-age=60', 'set-cookie': `sid=${headers['x-user']}` },
    }),
    { onlySafe: true },
  ),
  user('private', with_({ 'cache-control': 'private, max-age=60' })),
  user('PRIVATE in another case and place', with_({ 'cache-control': 'max-age=60 , PrIvAtE' })),
  user('private for one field', with_({ 'cache-control': 'max-age=60, private="x-user"' }), {
    onlySafe: true,
  }),
  user('no-store', with_({ 'cache-control': 'no-store, max-age=60' })),
  user('no-cache', with_({ 'cache-control': 'no-cache, max-age=60' })),
  user('max-age=0', with_({ 'cache-control': 'max-age=0' })),
  user('private on a second line', with_({ 'cache-control': ['max-age=60', 'private'] })),
  user('CDN-Cache-Control: private', with_({ 'cdn-cache-control': 'private' })),
  user('Holdfast-Cache-Control: no-store', with_({ 'holdfast-cache-control': 'no-store' })),
  user(
    'a broken targeted field beside private',
    with_({
      'cache-control': 'private',
      'cdn-cache-control': 'max-age=60, "',
    }),
  ),
  user('a life that is no number', with_({ 'cache-control': 'max-age=sixty' })),
  user('a date that is none', with_({ 'cache-control': '', expires: 'tomorrow' })),
  user('Vary of one field', with_({ vary: 'X-User' })),
  user('Vary on a second line', with_({ vary: ['Accept-Encoding', 'X-User'] })),
  user('Vary: *', with_({ vary: '*' })),
  user('Vary: * behind a name', with_({ vary: 'Accept, *' })),
  {
    name: 'Vary where the field is absent',
    ...by('x-user', 'alice'),
    second: {},
    answers: with_({ vary: 'X-User' }),
  },
  {
    name: 'Vary with values that look like a list of each other',
    ...by('x-user', '"a,b"', '"a, b"'),
    answers: with_({ vary: 'X-User' }),
  },
  {
    name: 'an encoding without Vary',
    ...by('accept-encoding', 'gzip', 'identity'),
    answers: with_({ 'content-encoding': 'gzip' }),
    onlySafe: true,
  },
  user('an error with a life of its own that is private', with_({ 'cache-control': 'private, max-age=60' }), {
    answers: () => ({ status: 500, headers: { 'cache-control': 'private, max-age=60' } }),
  }),
  user('an error without a life', () => ({ status: 500, headers: { 'cache-control': '' } })),
  {
    name: 'the answer to a POST',
    first: { method: 'POST', headers: { 'x-user': 'alice' } },
    second: { headers: { 'x-user': 'bob' } },
    whose: header('x-user'),
  },
  {
    name: 'the answer to a POST that names its URL',
    first: { method: 'POST', headers: { 'x-user': 'alice' } },
    second: { headers: { 'x-user': 'bob' } },
    whose: header('x-user'),
    answers: with_({ 'content-location': '/' }),
  },
  {
    name: 'a GET with a body',
    first: { headers: { 'x-user': 'alice', 'content-length': '5' }, body: 'alice' },
    second: { headers: { 'x-user': 'bob' } },
    whose: header('x-user'),
  },
  {
    name: 'a method in a header',
    first: alice({ 'x-user': 'alice', 'x-http-method-override': 'DELETE' }),
    second: alice({ 'x-user': 'bob' }),
    whose: header('x-user'),
    onlySafe: true,
  },
  {
    name: 'two hosts',
    first: { host: 'alice.example' },
    second: { host: 'bob.example' },
    whose: ({ host }) => host,
  },
  {
    name: 'two ports',
    first: { host: 'shop.example:81' },
    second: { host: 'shop.example:82' },
    whose: ({ host }) => host,
  },
  {
    name: 'a host that is none',
    first: { host: 'shop.example/path?' },
    second: { host: 'shop.example' },
    whose: ({ host }) => host,
    needsScheme: true,
  },
  {
    name: 'a host that pretends to be a path',
    first: { host: 'a', url: '/b/c' },
    second: { host: 'a/b', url: '/c' },
    whose: ({ host, url }) => `${host} ${url}`,
    needsScheme: true,
  },
  {
    name: 'an absolute target with another host than the Host field',
    first: { host: 'bob.example', url: 'http://alice.example/' },
    second: { host: 'bob.example', url: '/' },
    whose: ({ host, url }) => (url.startsWith('http') ? new URL(url).host : host),
    needsScheme: true,
  },
  {
    name: 'http and https',
    first: { scheme: 'http' },
    second: { scheme: 'https' },
    whose: ({ scheme }) => scheme,
    needsScheme: true,
  },
  ...[
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-forwarded-port',
    'x-forwarded-prefix',
    'x-original-url',
    'x-rewrite-url',
    'x-host',
    'forwarded',
  ].map(
    (name): LeakCase => ({
      name: `poisoning by ${name}`,
      first: alice({ [name]: 'evil.example' }),
      second: {},
      whose: header(name),
      onlySafe: true,
    }),
  ),
  {
    name: 'two queries',
    first: { url: '/?user=alice' },
    second: { url: '/?user=bob' },
    whose: ({ url }) => url,
  },
  {
    name: 'a query with its parts in another place',
    first: { url: '/?a=1&user=alice' },
    second: { url: '/?a=1%26user=alice' },
    whose: ({ url }) => url,
    route: { query: 'sorted' },
  },
  {
    name: 'the order of equal names in a sorted query',
    first: { url: '/?user=alice&user=bob' },
    second: { url: '/?user=bob&user=alice' },
    whose: ({ url }) => url,
    route: { query: 'sorted' },
  },
  {
    name: 'paths that differ in case',
    first: { url: '/Alice' },
    second: { url: '/alice' },
    whose: ({ url }) => url,
  },
  {
    name: 'paths with encoded line breaks',
    first: { url: '/a%0d%0aX-User:alice' },
    second: { url: '/a' },
    whose: ({ url }) => url,
  },
  {
    name: 'long targets that begin alike',
    first: { url: `/${'a'.repeat(2_000)}/alice` },
    second: { url: `/${'a'.repeat(2_000)}/bob` },
    whose: ({ url }) => url.slice(-5),
  },
  user('two identities', undefined, { route: { identity } }),
  user('an identity and none', undefined, { second: {}, route: { identity } }),
  user('none and an identity', undefined, { first: {}, route: { identity } }),
  {
    name: 'two strangers with cookies where others have an identity',
    ...by('cookie', 'sid=alice', 'sid=bob'),
    route: { identity },
  },
  {
    name: 'identities that look like parts of a key',
    ...by('x-user', 'alice i=bob', 'alice'),
    route: { identity },
  },
  {
    name: 'an identity with Authorization',
    first: alice({ 'x-user': 'alice', authorization: 'Bearer alice' }),
    second: alice({ 'x-user': 'bob', authorization: 'Bearer bob' }),
    whose: header('authorization'),
    route: { identity },
  },
  user(
    'private in spite of an identity of a whole tenant',
    with_({ 'cache-control': 'private, max-age=60' }),
    {
      route: { identity: () => 'tenant' },
    },
  ),
  user('a part of a private answer', with_({ 'cache-control': 'private, max-age=60' }), {
    second: alice({ 'x-user': 'bob', range: 'bytes=0-2' }),
  }),
  user('a condition on a private answer', with_({ 'cache-control': 'private, max-age=60', etag: '"a"' }), {
    second: alice({ 'x-user': 'bob', 'if-none-match': '"other"' }),
  }),
  user('the head of a private answer', with_({ 'cache-control': 'private, max-age=60' }), {
    first: { method: 'HEAD', headers: { 'x-user': 'alice' } },
  }),
]
