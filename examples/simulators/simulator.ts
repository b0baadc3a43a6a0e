/**
 * What all simulated APIs share: counted calls, faults on demand, latency. An API brings its routes and
 * the answers that it gives when it refuses. Controlled over HTTP, so that any process can do it:
 *
 *   GET    /__sim/calls     { total, byRoute: { 'GET /products': 3 } }; DELETE counts from zero
 *   POST   /__sim/faults    { kind, times?, path?, status?, ms? }; DELETE ends all of them
 *   POST   /__sim/latency   { ms }: from now on every answer begins that much later
 */
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'

export const REFUSALS = ['401', '403', '429', '500'] as const
export const FAULTS = [...REFUSALS, 'html', 'reset', 'slow', 'truncated'] as const

/** How one API says no. */
export interface Refusal {
  body: unknown
  headers?: Record<string, string>
  /** The HTTP status, where it is not the kind's own (Meta throttles with 400). */
  status?: number
}

export interface SimulatorOptions {
  name: string
  /** On loopback; 0, the default, takes any free one. */
  port?: number | undefined
  /** This API's bodies of refusals, in the shape of the real one. */
  refusals: Record<(typeof REFUSALS)[number], Refusal>
  routes(app: FastifyInstance): void
}

export interface Fault {
  kind: (typeof FAULTS)[number]
  /** Of how many calls; until they are ended when absent. */
  times?: number | undefined
  /** Only calls whose path begins so. */
  path?: string | undefined
  /** Of `html`, whose page comes with 200 unless said otherwise, and of refusals. */
  status?: number | undefined
  /** Of `slow`, by default 5,000: then comes the usual answer. */
  ms?: number | undefined
}

export interface Calls {
  total: number
  byRoute: Record<string, number>
}

export interface Simulator {
  readonly url: string
  calls(): Calls
  fault(fault: Fault): void
  /** Without faults, without latency, counted from zero. */
  reset(): void
  close(): Promise<void>
}

const FAULT_BODY = {
  type: 'object',
  required: ['kind'],
  additionalProperties: false,
  properties: {
    kind: { enum: FAULTS },
    times: { type: 'integer', minimum: 1 },
    path: { type: 'string', pattern: '^/' },
    status: { type: 'integer', minimum: 200, maximum: 599 },
    ms: { type: 'integer', minimum: 0, maximum: 600_000 },
  },
}
const LATENCY_BODY = {
  type: 'object',
  required: ['ms'],
  properties: { ms: { type: 'integer', minimum: 0, maximum: 600_000 } },
}

export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { name, refusals } = options
  const app = fastify({ forceCloseConnections: true })
  const ended = new AbortController()
  const faults: (Fault & { times: number })[] = []
  let latency = 0
  let calls: Calls = { total: 0, byRoute: {} }

  const pause = (ms: number) => sleep(ms, undefined, { signal: ended.signal }).catch(() => {})
  const add = ({ times = Number.POSITIVE_INFINITY, ...fault }: Fault) => void faults.push({ ...fault, times })
  const nextFault = (path: string): Fault | undefined => {
    const index = faults.findIndex((fault) => path.startsWith(fault.path ?? '/'))
    const fault = faults[index]
    if (fault && --fault.times <= 0) faults.splice(index, 1)
    return fault
  }

  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0]!
    if (path.startsWith('/__sim/')) return
    const route = `${request.method} ${request.routeOptions.url ?? '(none)'}`
    calls.total++
    calls.byRoute[route] = (calls.byRoute[route] ?? 0) + 1
    const fault = nextFault(path)
    if (latency > 0) await pause(latency)
    if (fault?.kind === 'slow') await pause(fault.ms ?? 5_000)
    else if (fault)
      return fail(reply, fault, fault.kind in refusals ? refusals[fault.kind as '401'] : undefined)
  })

  app.get('/__sim/calls', () => calls)
  app.delete('/__sim/calls', (_request, reply) => {
    calls = { total: 0, byRoute: {} }
    reply.code(204).send()
  })
  app.post<{ Body: Fault }>('/__sim/faults', { schema: { body: FAULT_BODY } }, ({ body }, reply) => {
    add(body)
    reply.code(204).send()
  })
  app.delete('/__sim/faults', (_request, reply) => {
    faults.length = 0
    reply.code(204).send()
  })
  app.post<{ Body: { ms: number } }>(
    '/__sim/latency',
    { schema: { body: LATENCY_BODY } },
    (request, reply) => {
      latency = request.body.ms
      reply.code(204).send()
    },
  )
  options.routes(app)

  await app.listen({ port: options.port ?? 0, host: '127.0.0.1' }).catch((error: unknown) => {
    throw new Error(`the simulator of ${name} cannot listen on ${options.port}`, { cause: error })
  })
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    calls: () => structuredClone(calls),
    fault: add,
    reset() {
      calls = { total: 0, byRoute: {} }
      faults.length = 0
      latency = 0
    },
    async close() {
      await app.close() // cuts the connections of those who wait
      ended.abort()
    },
  }
}

function fail(reply: FastifyReply, { kind, status }: Fault, refusal?: Refusal): FastifyReply {
  if (refusal) {
    return reply
      .code(status ?? refusal.status ?? Number(kind))
      .headers(refusal.headers ?? {})
      .send(refusal.body)
  }
  if (kind === 'html') {
    const page = '<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>'
    return reply
      .code(status ?? 200)
      .type('text/html')
      .send(page)
  }
  // Below HTTP: the socket is ours alone.
  reply.hijack()
  const { socket } = reply.raw
  if (kind === 'reset') socket?.resetAndDestroy()
  else {
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n'
    socket?.end(`${head}{"data":[{"id":1,"na`, () => socket.destroy())
  }
  return reply
}

/** As a process of its own: on PORT, or any free one, until it is told to end. */
export async function runAlone(
  module: string,
  start: (options: { port: number }) => Promise<Pick<Simulator, 'url' | 'close'>>,
): Promise<void> {
  if (module !== pathToFileURL(process.argv[1] ?? '').href) return
  const { url, close } = await start({ port: Number(process.env.PORT || 0) })
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  // Forked, it reports to its parent and ends with it; alone, it says where it is.
  if (process.connected) process.send?.({ url, ready: true })
  else if (process.send) await close()
  else console.log(url)
}
