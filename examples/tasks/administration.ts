import { randomBytes } from 'node:crypto'
import type { Holdfast } from 'holdfast'
import { type Admin, createAdmin, type Edition } from 'holdfast/admin'

/** Each edition's token; `enterprise@acme` sees the cache of the tenant acme and nothing else. */
export type AdminTokens = Record<string, string>

/** From `community:…,business:…,enterprise@acme:…`; without it, one is made up for each edition. */
export function adminTokens(list: string | undefined): AdminTokens {
  if (list)
    return Object.fromEntries(list.split(',').map((entry) => entry.trim().split(':', 2) as [string, string]))
  const editions: Edition[] = ['community', 'business', 'enterprise']
  return Object.fromEntries(editions.map((edition) => [edition, randomBytes(24).toString('base64url')]))
}

/** The cache's administration: at the paths of old, `/api/v1/cache/…`, and below `/admin/` with the dashboard. */
export function administration(hf: Holdfast, tokens: AdminTokens): Admin {
  return createAdmin({
    holdfast: hf,
    basePath: '/admin',
    tokens: Object.entries(tokens).map(([name, token]) => {
      const [edition, namespace] = name.split('@') as [Edition, string | undefined]
      return { name, token, edition, ...(namespace && { namespace }) }
    }),
  })
}
