import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { beforeHead } from '../../src/http/before-head.ts'
import { interpose } from '../../src/http/interpose.ts'
import type { HttpReply, HttpResponse, Next } from '../../src/http/message.ts'
import { headerLines, readBody } from '../../src/http/whole-body.ts'
import { call } from '../adapters/wire.ts'
import { until } from '../support/until.ts'

type Handler = (req: IncomingMessage, res: ServerResponse) => void
type Handle = (next: () => Promise<HttpResponse>) => Promise<HttpReply>

let server: Server
afterEach(() => void server?.close())

/** A server whose handler stands behind `handle`; `outer` comes before it, as other middleware does. */
async function serving(handler: Handler, handle: Handle, outer?: Handler): Promise<string> {
  server = createServer((req, res) => {
    outer?.(req, res)
    interpose({
      req,
      res,
      proceed: (error) => (error ? res.writeHead(500).end(String(error)) : handler(req, res)),
      handle: (request, next: Next) => handle(async () => next(request, { background: false })),
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const through: Handle = async (next) => {
  const { status, statusText, headers, body } = await next()
  const lines = [...headerLines(headers)].flat()
  return { status, statusText, headers: lines, body: body as HttpReply['body'] }
}

describe('a handler that is held back', () => {
  it.each<[string, Handler]>([
    ['one end', (_req, res) => res.setHeader('a', '1').setHeader('x', ['1', '2']).end('whole')],
    ['a record', (_req, res) => res.writeHead(200, { a: 1, x: ['1', '2'] }).end('whole')],
    [
      'a reason and a record',
      (_req, res) => res.writeHead(200, 'Fine', { a: '1', x: ['1', '2'] }).end('whole'),
    ],
    ['a flat list', (_req, res) => res.writeHead(200, ['a', '1', 'x', '1', 'x', '2']).end('whole')],
    [
      'writes',
      (_req, res) => {
        res.setHeader('a', '1').setHeader('x', ['1', '2'])
        res.write('who')
        res.write(Buffer.from('le').toString('hex'), 'hex', () => res.end())
      },
    ],
    [
      'a flushed head',
      (_req, res) => {
        res.writeHead(200, { a: '1', x: ['1', '2'] }).flushHeaders()
        setTimeout(() => res.end('whole'), 5)
      },
    ],
    [
      'a pipe',
      (_req, res) => {
        res.setHeader('a', '1').setHeader('x', ['1', '2'])
        Readable.from([Buffer.from('whole')]).pipe(res)
      },
    ],
  ])('is heard the same, written by %s', async (_, handler) => {
    let heard: HttpResponse | undefined
    const url = await serving(handler, async (next) => {
      heard = await next()
      return through(async () => heard!)
    })
    const answer = await call(url, '/')
    expect([answer.status, answer.body.toString()]).toEqual([200, 'whole'])
    expect(answer.headers).toMatchObject({ a: '1', x: '1, 2' })
    expect([...headerLines(heard!.headers)].filter(([name]) => name === 'x')).toHaveLength(2)
  })

  it('sees its own answer as sent', async () => {
    const seen: boolean[] = []
    const url = await serving(
      (_req, res) => {
        seen.push(res.headersSent, res.writableEnded)
        res.write('a')
        seen.push(res.headersSent, res.writableEnded)
        res.end('b')
        seen.push(res.headersSent, res.writableEnded)
      },
      async (next) => {
        await next()
        return { status: 204, statusText: undefined, headers: ['own', '1'], body: undefined }
      },
    )
    const answer = await call(url, '/')
    expect([answer.status, answer.headers.own]).toEqual([204, '1'])
    expect(seen).toEqual([false, false, true, false, true, true])
  })

  it('waits while nobody reads what it writes', async () => {
    let written = 0
    const source = () =>
      Readable.from(
        (function* () {
          for (; written < 400; written++) yield Buffer.alloc(10_000, 'x')
        })(),
      )
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const url = await serving(
      (_req, res) => void source().pipe(res),
      async (next) => {
        const response = await next()
        await gate
        return through(async () => response)
      },
    )
    const asked = call(url, '/')
    await until('it wrote', () => written > 0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(written).toBeLessThan(40)
    release()
    expect((await asked).body.length).toBe(4_000_000)
  })

  it.each<[string, Handler]>([
    [
      'destroys it',
      (_req, res) => {
        res.write('half')
        setTimeout(() => res.destroy(new Error('broke off')), 5)
      },
    ],
    [
      'lets its pipe go when the client leaves',
      (_req, res) => {
        new Readable({ read() {} }).pipe(res)
        res.write('half')
      },
    ],
  ])('is no whole message where it %s', async (_, handler) => {
    let failed: unknown
    const away = new AbortController()
    const url = await serving(handler, async (next) => {
      const response = await next()
      const whole = readBody(response.body, 1_000_000).catch((error: unknown) => {
        failed = error
      })
      setTimeout(() => away.abort(), 20)
      await whole
      return { status: 200, statusText: undefined, headers: [], body: undefined }
    })
    await call(url, '/', { signal: away.signal }).catch(() => {})
    await until('the body failed', () => failed)
    expect(String(failed)).toMatch(/did not end/)
  })

  it('leaves the fields of others to them, but for those that say who may keep the answer', async () => {
    let heard: HttpResponse | undefined
    const url = await serving(
      (_req, res) => res.setHeader('changed', 'by the handler').end('x'),
      async (next) => {
        heard = await next()
        return { status: 200, statusText: undefined, headers: ['mine', '1'], body: Buffer.from('y') }
      },
      (_req, res) => {
        res.setHeader('x-id', '7')
        res.setHeader('changed', 'by other middleware')
        res.setHeader('Set-Cookie', ['a=1'])
        res.setHeader('Cache-Control', 'private')
      },
    )
    const answer = await call(url, '/')
    const names = [...headerLines(heard!.headers)].map(([name]) => name)
    expect(names.sort()).toEqual(['cache-control', 'changed', 'set-cookie'])
    expect(answer.headers).toMatchObject({ 'x-id': '7', changed: 'by other middleware', mine: '1' })
  })

  it('gets along with middleware that wraps the response, outside and inside', async () => {
    const wrap = (res: ServerResponse, mark: string) => {
      const { end, write } = res
      res.write = ((chunk: string) => Reflect.apply(write, res, [mark + String(chunk)])) as typeof res.write
      res.end = ((chunk?: string) =>
        Reflect.apply(end, res, chunk === undefined ? [] : [mark + String(chunk)])) as typeof res.end
    }
    const closed: string[] = []
    const url = await serving(
      (_req, res) => {
        wrap(res, 'in:')
        res.write('a')
        setTimeout(() => res.end('b'), 5)
      },
      through,
      (_req, res) => {
        beforeHead(
          res,
          async () => void res.setHeader('late', '1'),
          () => {},
        )
        wrap(res, 'out:')
        res.on('finish', () => closed.push('finish'))
      },
    )
    const answer = await call(url, '/')
    expect(answer.body.toString()).toBe('out:in:aout:in:b')
    expect(answer.headers.late).toBe('1')
    expect(closed).toEqual(['finish'])
  })

  it('is answered for with 500 where what stands around it fails after it answered', async () => {
    const url = await serving(
      (_req, res) => res.setHeader('secret', '1').end('never seen'),
      async (next) => {
        await next()
        throw new Error('around')
      },
    )
    const answer = await call(url, '/')
    expect([answer.status, answer.headers.secret, answer.body.toString()]).toEqual([
      500,
      undefined,
      'internal error',
    ])
  })

  it('is let go where somebody else answered meanwhile', async () => {
    let ended = false
    const url = await serving(
      (_req, res) => {
        setTimeout(() => {
          res.end('too late')
          ended = true
        }, 60)
      },
      through,
      (_req, res) => {
        const { end, writeHead } = res
        setTimeout(() => {
          Reflect.apply(writeHead, res, [503])
          Reflect.apply(end, res, ['out of time'])
        }, 10)
      },
    )
    const answer = await call(url, '/')
    expect([answer.status, answer.body.toString()]).toEqual([503, 'out of time'])
    await until('the handler ended', () => ended)
    expect((await call(url, '/')).status).toBe(503)
  })

  it('is answered for with 502 where it let go of its answer before there was one', async () => {
    const url = await serving((_req, res) => res.destroy(), through)
    expect((await call(url, '/')).status).toBe(502)
  })

  it('breaks the connection where what is to be sent is no message', async () => {
    const url = await serving(
      (_req, res) => res.end('x'),
      async (next) => {
        await next()
        return { status: 200, statusText: undefined, headers: ['bad\nname', '1'], body: undefined }
      },
    )
    await expect(call(url, '/')).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('hands an error from before it to the framework', async () => {
    const url = await serving(
      () => expect.unreachable(),
      async () => {
        throw new Error('before')
      },
    )
    const answer = await call(url, '/')
    expect([answer.status, answer.body.toString()]).toEqual([500, 'Error: before'])
  })
})

describe('work before the head', () => {
  const withWork = async (handler: Handler, work: (res: ServerResponse) => Promise<void>) => {
    server = createServer((req, res) => {
      beforeHead(
        res,
        () => work(res),
        (error) => res.writeHead(503).end(String(error)),
      )
      handler(req, res)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return call(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, '/')
  }
  const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 10))

  it('is done before anything is sent, however the answer is written', async () => {
    const handlers: Handler[] = [
      (_req, res) => res.end('body'),
      (_req, res) => res.writeHead(200, { a: '1' }).end('body'),
      (_req, res) => void Readable.from([Buffer.from('bo'), Buffer.from('dy')]).pipe(res),
      (_req, res) => {
        res.flushHeaders()
        res.write('body')
        res.end()
      },
    ]
    for (const handler of handlers) {
      const answer = await withWork(handler, async (res) => {
        await pause()
        res.setHeader('late', '1')
      })
      expect([answer.body.toString(), answer.headers.late]).toEqual(['body', '1'])
      server.close()
    }
  })

  it('that fails keeps the answer back', async () => {
    const answer = await withWork(
      (_req, res) => res.writeHead(200, { a: '1' }).end('not stored'),
      async () => {
        await pause()
        throw new Error('not stored')
      },
    )
    expect([answer.status, answer.body.toString()]).toEqual([503, 'Error: not stored'])
  })
})
