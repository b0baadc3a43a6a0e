import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Admin } from '../admin/admin.ts'
import { answerNode } from '../admin/node.ts'

/**
 * `app.register(adminRoutes, { prefix: '/admin', admin: createAdmin({ holdfast, tokens, basePath: '/admin' }) })`.
 * The administration ends with the application.
 */
export const adminRoutes: FastifyPluginAsync<{ readonly admin: Admin }> = async (app, { admin }) => {
  app.removeAllContentTypeParsers()
  // The administration reads bodies itself, within its own bounds.
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.hijack()
    await answerNode(admin, request.raw, reply.raw)
  }
  app.all('/', handler)
  app.all('/*', handler)
  // Before the server waits for its answers to end: a stream never does.
  app.addHook('preClose', () => admin.close())
}
