import type { ServerResponse } from 'node:http'
import type { Admin } from '../admin/admin.ts'
import { type AdminRequest, answerNode } from '../admin/node.ts'

/**
 * `app.use('/admin', adminHandler(createAdmin({ holdfast, tokens, basePath: '/admin' })))`, on Express
 * and on Fastify. End it with `admin.close()` before `app.close()`.
 */
export function adminHandler(admin: Admin): (req: AdminRequest, res: ServerResponse) => void {
  return (req, res) => void answerNode(admin, req, res)
}
