import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type Clock, sleep, systemClock } from '../base/clock.ts'
import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import { type ResponseCacheOptions, responseCacheOf } from '../http/caches.ts'
import { beginDraining } from '../http/draining.ts'
import { type HealthOptions, healthReply } from '../http/health.ts'
import { type HttpSession, type HttpSessionOptions, HttpSessions, sessionRefusal } from '../http/session.ts'
import { endOnSignals, openAnswers, type ShutdownOptions, sweep } from '../http/shutdown.ts'
import type { Sessions } from '../session/sessions.ts'
import { replyWith } from './answer.ts'
import type { RequestHoldfast } from './augment.ts'
import { addRouteHooks } from './route-hooks.ts'

/** What the plugin adds to its scope. */
export interface HoldfastPluginOptions {
  /** The instance. */
  readonly holdfast: Holdfast
  /** Defaults for routes with `config.holdfast.cache`. */
  readonly cache?: ResponseCacheOptions | undefined
  /** Sessions for every route below: `request.holdfast.session<Cart>()`. */
  readonly session?: SessionSetup | undefined
  /** Path of a health endpoint, e.g. '/health'. @default none */
  readonly health?: string | (HealthOptions & { readonly path: string }) | undefined
  /** Close the instance when the application closes. @default true */
  readonly close?: boolean | undefined
  /** Close the application at SIGTERM and SIGINT, draining it first. @default false */
  readonly shutdown?: boolean | ShutdownOptions | undefined
}

/** The data of the sessions is the application's own: say its type at `request.holdfast.session<T>()`. */
export interface SessionSetup extends Omit<HttpSessionOptions<object>, 'initial'> {
  readonly sessions: Pick<Sessions, 'store'>
  /** As in `HttpSessionOptions`. */
  readonly initial?: (() => object) | undefined
}

const KNOWN = ['holdfast', 'cache', 'session', 'health', 'close', 'shutdown']

/**
 * Holdfast for Fastify 5: `app.holdfast`, `request.holdfast`, and `config.holdfast` of routes.
 *
 *   await app.register(holdfastPlugin, { holdfast: hf, health: '/health' })
 *   app.get('/products', { config: { holdfast: { cache: { ttl: '5m' } } } }, handler)
 *
 * It applies to the scope it is registered in and to those below; register it before the routes. In a
 * scope below it may be registered again with the same instance, to add sessions there.
 */
export const holdfastPlugin: FastifyPluginAsync<HoldfastPluginOptions> = async (app, options) => {
  refuseUnknown(options, KNOWN, 'holdfastPlugin')
  const { holdfast } = options
  if (typeof holdfast?.health !== 'function') {
    throw new InvalidOption('the plugin was given no instance', 'register it with { holdfast: holdfast() }')
  }
  if (!app.hasDecorator('holdfast')) {
    app.decorate('holdfast', holdfast)
    app.decorateRequest('holdfast', {
      getter(this: FastifyRequest) {
        return new OfRequest(this)
      },
    })
    app.addHook('onRoute', (route) => {
      addRouteHooks(app, route, () => responseCacheOf(holdfast, options.cache))
    })
  } else if (app.holdfast !== holdfast || options.cache !== undefined) {
    throw new InvalidOption(
      'a scope around this one has another instance, or other cache defaults',
      'register the plugin with `cache` once; in scopes below give the same instance and what is new there',
    )
  }
  if (options.session) addSessions(app, options.session)
  if (options.health !== undefined) addHealth(app, holdfast, options.health)
  const answers = openAnswers(app.server)
  let stop: (() => void) | undefined
  app.addHook('preClose', async () => {
    beginDraining(holdfast)
    answers.hurry()
    stop = sweep(app.server, systemClock)
  })
  app.addHook('onClose', async () => stop?.())
  if (options.close !== false) app.addHook('onClose', () => holdfast.close())
  if (options.shutdown) addShutdown(app, holdfast, options.shutdown === true ? {} : options.shutdown)
}
// What fastify-plugin would set: the decorators are for the scope around, not for a scope of the plugin's own.
Object.assign(holdfastPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'holdfast',
  [Symbol.for('plugin-meta')]: { name: 'holdfast', fastify: '5.x' },
})

const known = new WeakMap<FastifyRequest, HttpSession<object>>()

class OfRequest implements RequestHoldfast {
  readonly #request: FastifyRequest

  constructor(request: FastifyRequest) {
    this.#request = request
  }

  session<T extends object>(): HttpSession<T> {
    const found = known.get(this.#request)
    // The type of its data is the application's word, as in any store.
    if (found) return found as unknown as HttpSession<T>
    throw new InvalidOption('this request has no session', 'register the plugin with { session } around it')
  }
}

function addSessions(app: FastifyInstance, { sessions, ...options }: SessionSetup): void {
  // Any kind of sessions may stand behind the plugin; what is in them only the routes know.
  const place = new HttpSessions(sessions as unknown as Sessions<object>, options)
  app.addHook('onRequest', async (request, reply) => {
    try {
      known.set(request, await place.open(request.headers.cookie))
      return undefined
    } catch (error) {
      const refusal = sessionRefusal(error)
      if (!refusal) throw error
      return replyWith(reply, refusal)
    }
  })
  app.addHook('onSend', async (request, reply, payload) => {
    try {
      for (const line of (await known.get(request)?.close()) ?? []) reply.header('set-cookie', line)
      return payload
    } catch (error) {
      const refusal = sessionRefusal(error)
      if (!refusal) throw error
      clear(reply)
      reply.code(refusal.status)
      for (let at = 0; at < refusal.headers.length; at += 2) {
        reply.header(refusal.headers[at]!, refusal.headers[at + 1]!)
      }
      return refusal.body
    }
  })
}

/** What the reply said about a body that is not sent after all. */
function clear(reply: FastifyReply): void {
  for (const name of ['content-encoding', 'etag', 'last-modified', 'transfer-encoding'])
    reply.removeHeader(name)
}

function addHealth(
  app: FastifyInstance,
  holdfast: Holdfast,
  given: NonNullable<HoldfastPluginOptions['health']>,
): void {
  const { path, ...options } = typeof given === 'string' ? { path: given } : given
  app.get(path, async (_, reply) => replyWith(reply, healthReply(holdfast, options)))
}

function addShutdown(app: FastifyInstance, holdfast: Holdfast, options: ShutdownOptions): void {
  const { signals = ['SIGTERM', 'SIGINT'], clock = systemClock } = options
  const delayMs = toMs(options.delay ?? 0, 'delay')
  const timeoutMs = toMs(options.timeout ?? '10s', 'timeout')
  const dispose = endOnSignals(signals, () => drain(app, holdfast, clock, delayMs, timeoutMs))
  app.addHook('onClose', async () => dispose())
}

async function drain(
  app: FastifyInstance,
  holdfast: Holdfast,
  clock: Clock,
  delayMs: number,
  timeoutMs: number,
): Promise<void> {
  beginDraining(holdfast)
  if (delayMs > 0) await sleep(clock, delayMs)
  const cut = clock.after(timeoutMs, () => app.server.closeAllConnections(), true)
  await app.close()
  cut.cancel()
}
