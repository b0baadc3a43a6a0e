import type { FastifyReply, FastifyRequest } from 'fastify'
import type { NodeRequestHints } from '../http/node-bridge.ts'
import type { NodePassage } from '../http/node-parts.ts'
import type { WholeReply } from '../http/reply.ts'

/** Answers by Fastify's own way, so that its hooks see it. */
export function replyWith(reply: FastifyReply, whole: WholeReply): FastifyReply {
  const lines = whole.headers
  for (let at = 0; at + 1 < lines.length; at += 2) reply.header(lines[at]!, lines[at + 1]!)
  return reply.code(whole.status).send(whole.body)
}

/** The way of a request from a hook to its handler, over the response below Fastify's reply. */
export function passageOf(
  request: FastifyRequest,
  reply: FastifyReply,
  proceed: (error?: unknown) => void,
): NodePassage {
  const { raw } = reply
  // Fields of earlier hooks stand in the reply, which is not sent on a hit; they belong to this request.
  const fields = reply.getHeaders()
  for (const name in fields) {
    const value = fields[name as keyof typeof fields]
    if (value !== undefined) raw.setHeader(name, value)
  }
  return { req: request.raw, res: raw, proceed, takeOver: () => void reply.hijack(), hints: hintsOf(request) }
}

/** Scheme and host as the application's `trustProxy` has them. */
function hintsOf(request: FastifyRequest): NodeRequestHints {
  return {
    url: request.originalUrl,
    host: request.host,
    scheme: request.protocol === 'https' ? 'https' : 'http',
  }
}
