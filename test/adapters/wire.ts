/** A client that sends what it is told, field by field, and reads what comes, field by field. */
import { request } from 'node:http'

export interface Answer {
  readonly status: number
  /** Repeated fields joined by `, `; Set-Cookie by newline. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** The body as JSON. */
  json<T = Record<string, unknown>>(): T
  /** The connection broke before the message was whole. */
  readonly broken: boolean
}

export interface Asking {
  method?: string
  /** Names and values; an array sends the field several times. */
  headers?: Record<string, string | string[]>
  body?: string | Buffer
  /** Sent as JSON. */
  data?: unknown
  signal?: AbortSignal
}

export function call(base: string, path: string, asking: Asking = {}): Promise<Answer> {
  const { method = 'GET', data, signal } = asking
  const body = data === undefined ? asking.body : JSON.stringify(data)
  // As clients of several processes behind one name send it.
  const headers: Record<string, string | string[]> = { host: 'shop.test', ...asking.headers }
  if (data !== undefined) headers['content-type'] ??= 'application/json'
  if (body !== undefined) headers['content-length'] ??= String(Buffer.byteLength(body))
  return new Promise((resolve, reject) => {
    const req = request(
      base + path,
      { method, headers, agent: false, ...(signal ? { signal } : {}) },
      (res) => {
        const chunks: Buffer[] = []
        const done = (broken: boolean) => {
          const fields: Record<string, string> = {}
          for (const [name, value] of Object.entries(res.headers)) {
            fields[name] = Array.isArray(value) ? value.join('\n') : (value ?? '')
          }
          const whole = Buffer.concat(chunks)
          resolve({
            status: res.statusCode ?? 0,
            headers: fields,
            body: whole,
            broken,
            json: <T>() => JSON.parse(whole.toString()) as T,
          })
        }
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('end', () => done(!res.complete))
        res.on('error', () => done(true))
      },
    )
    req.on('error', reject)
    req.end(body)
  })
}

/** Whether Cache-Status says that the answer came from the store. */
export const isHit = ({ headers }: Answer): boolean => /;\s*hit\b/.test(headers['cache-status'] ?? '')

/** A visitor that keeps its cookies, and the attributes they came with. */
export class Visitor {
  readonly jar = new Map<string, string>()
  lastSetCookie: string | undefined

  async call(base: string, path: string, asking: Asking = {}): Promise<Answer> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...asking.headers, ...(cookie ? { cookie } : {}) }
    const answer = await call(base, path, { ...asking, headers })
    this.lastSetCookie = answer.headers['set-cookie']
    for (const line of (this.lastSetCookie ?? '').split('\n').filter(Boolean)) {
      const [name = '', value = ''] = line
        .slice(0, (line.indexOf(';') + 1 || line.length + 1) - 1)
        .split(/=(.*)/s)
      if (value === '' || /max-age=0/i.test(line)) this.jar.delete(name)
      else this.jar.set(name, value)
    }
    return answer
  }
}
