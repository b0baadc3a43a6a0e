/** The API as a browser uses it: it keeps its cookie. */
export class Client {
  readonly #url: string
  #cookie = ''

  constructor(url: string) {
    this.#url = url
  }

  /** The same visitor at another server. */
  at(url: string): Client {
    const there = new Client(url)
    there.#cookie = this.#cookie
    return there
  }

  async send(method: string, path: string, body?: string, headers: Record<string, string> = {}) {
    const answer = await fetch(this.#url + path, {
      method,
      headers: { ...headers, ...(this.#cookie && { cookie: this.#cookie }) },
      ...(body === undefined ? {} : { body }),
    })
    const [cookie] = answer.headers.getSetCookie()
    if (cookie) this.#cookie = cookie.split(';')[0]!
    const text = await answer.text()
    return {
      status: answer.status,
      cache: answer.headers.get('cache-status'),
      type: answer.headers.get('content-type')?.split(';')[0],
      headers: answer.headers,
      text,
      body: text.startsWith('{') ? JSON.parse(text) : undefined,
    }
  }

  get(path: string, headers?: Record<string, string>) {
    return this.send('GET', path, undefined, headers)
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}) {
    return this.send('POST', path, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
  }

  put(path: string, body: unknown) {
    return this.send('PUT', path, JSON.stringify(body), { 'content-type': 'application/json' })
  }

  csv(method: 'POST' | 'PUT', path: string, text: string) {
    return this.send(method, path, text, { 'content-type': 'text/csv' })
  }

  signIn(user: string, password: string) {
    return this.post('/api/v1/auth/sign-in', { user, password })
  }

  ask(dataset: string, question: string, headers?: Record<string, string>) {
    return this.post(`/api/v1/datasets/${dataset}/query`, { question }, headers)
  }
}
