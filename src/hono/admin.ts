import type { Handler } from 'hono'
import type { Admin } from '../admin/admin.ts'
import { addressOf } from './request.ts'

/**
 * `app.all('/admin/*', adminHandler(createAdmin({ holdfast, tokens, basePath: '/admin' })))`. Mount it
 * outside of caches and limits; end it with `admin.close()` when the server closes. Without
 * @hono/node-server the peer is not known, and so an `open` administration answers nobody.
 */
export function adminHandler(admin: Admin): Handler {
  return (c) => admin.fetch(c.req.raw, { address: addressOf(c) })
}
