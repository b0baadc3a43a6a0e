import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Clock, sleep, systemClock, type Timer } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Holdfast } from '../holdfast.ts'
import { beginDraining } from './draining.ts'

/** How long a server takes to end, and which signals end it. */
export interface ShutdownOptions {
  /** Signals that begin it; the process ends by the same signal afterwards. `false`: none. @default SIGTERM and SIGINT */
  readonly signals?: readonly NodeJS.Signals[] | false | undefined
  /** How long to go on answering, with a health endpoint that says 503, before the port closes. @default 0 */
  readonly delay?: Duration | undefined
  /** How long open requests may take from then on; what is open after it is cut. @default '10s' */
  readonly timeout?: Duration | undefined
  /** For simulation. @default the system's */
  readonly clock?: Clock | undefined
}

/** A server that ends on a signal, and what is left to do with it by hand. */
export interface GracefulShutdown {
  readonly draining: boolean
  /** Drains the server, then closes the instance. Called twice: the same end. */
  shutdown(): Promise<void>
  /** Stops listening for signals. */
  dispose(): void
}

/** What we use of a server of node:http, node:https or @hono/node-server. */
export type DrainableServer = Pick<Server, 'close' | 'closeIdleConnections' | 'closeAllConnections'> & {
  on(event: 'connection', listener: (socket: Socket) => void): unknown
  on(event: 'request', listener: (request: IncomingMessage, response: ServerResponse) => void): unknown
}

const KNOWN = ['signals', 'delay', 'timeout', 'clock']
const SWEEP_MS = 50

/**
 * Ends a server without cutting a request off: health says 503, then the port closes, open requests
 * end with `Connection: close`, and then the Redis connections close.
 */
export function gracefulShutdown(
  server: DrainableServer,
  holdfast: Holdfast,
  options: ShutdownOptions = {},
): GracefulShutdown {
  refuseUnknown(options, KNOWN, 'shutdown')
  const { signals = ['SIGTERM', 'SIGINT'], clock = systemClock } = options
  const delayMs = toMs(options.delay ?? 0, 'delay')
  const timeoutMs = toMs(options.timeout ?? '10s', 'timeout')
  const answers = openAnswers(server)
  let ending: Promise<void> | undefined

  const drain = async (): Promise<void> => {
    beginDraining(holdfast)
    answers.hurry()
    if (delayMs > 0) await sleep(clock, delayMs)
    // Also where somebody else closed it before: what is open still has to end.
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    const stop = sweep(server, clock)
    const cut = clock.after(timeoutMs, () => server.closeAllConnections(), true)
    await closed
    cut.cancel()
    stop()
    await holdfast.close()
  }
  const shutdown = (): Promise<void> => {
    ending ??= drain()
    return ending
  }

  const dispose = endOnSignals(signals, shutdown)
  return {
    get draining() {
      return ending !== undefined
    },
    shutdown,
    dispose,
  }
}

/** Answers under way on a server; `hurry` makes them, and all that follow, the last of their connections. */
export function openAnswers(server: DrainableServer): { hurry(): void } {
  // Per connection, not per request: nothing is to be paid for it on the way of a request.
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return {
    hurry() {
      server.on('request', (_, response) => lastOf(response))
      for (const socket of sockets) {
        // Where node:http keeps the answer that a connection is busy with.
        const response: unknown = Reflect.get(socket, '_httpMessage')
        if (response instanceof ServerResponse) lastOf(response)
      }
    },
  }
}

/** Closes connections as they become idle: Node itself closes only those that are idle when the port closes. */
export function sweep(server: Pick<DrainableServer, 'closeIdleConnections'>, clock: Clock): () => void {
  let timer: Timer | undefined
  const again = (): void => {
    server.closeIdleConnections()
    timer = clock.after(SWEEP_MS, again)
  }
  again()
  return () => timer?.cancel()
}

function lastOf(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close')
}

/**
 * Runs `shutdown` at the first of these signals, and then ends as that signal asks, whatever else
 * still runs. A second signal meets no listener and ends the process at once.
 * @returns stops listening
 */
export function endOnSignals(
  signals: readonly NodeJS.Signals[] | false,
  shutdown: () => Promise<unknown>,
): () => void {
  const listeners = (signals === false ? [] : signals).map((signal) => {
    const listener = () => {
      dispose()
      void shutdown().finally(() => process.kill(process.pid, signal))
    }
    process.once(signal, listener)
    return { signal, listener }
  })
  const dispose = (): void => {
    for (const { signal, listener } of listeners) process.removeListener(signal, listener)
  }
  return dispose
}
