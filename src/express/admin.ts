import type { RequestHandler } from 'express'
import type { Admin } from '../admin/admin.ts'
import { answerNode } from '../admin/node.ts'

/**
 * `app.use('/admin', adminHandler(createAdmin({ holdfast, tokens, basePath: '/admin' })))`. Mount it
 * outside of caches and limits; end it with `admin.close()` when the server closes.
 */
export function adminHandler(admin: Admin): RequestHandler {
  return (req, res) => void answerNode(admin, req, res)
}
