import { readFileSync } from 'node:fs'
import type { Me } from '../answers/me.ts'
import { EDITIONS } from '../permissions.ts'
import type { Route, RouteContext } from '../route.ts'

export const meRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/me',
    permission: 'me',
    summary: 'Who asks, what they may do, and of what instance.',
    tenants: true,
    handle: me,
  },
]

async function me({ hf, principal }: RouteContext): Promise<Me> {
  const { name, edition, namespace } = principal
  const { driver, roles } = hf.health()
  const labels = new Set(Object.values(roles).map(({ label }) => label))
  return {
    name,
    edition,
    permissions: EDITIONS[edition],
    ...(namespace === undefined ? {} : { namespace }),
    driver,
    target: driver === 'embedded' ? 'process memory' : [...labels].join(', '),
    version: versionOf(),
  }
}

let version: string | undefined

/** The same file from the sources and from what is built of them. */
export function versionOf(): string {
  if (version === undefined) {
    const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
    version = (JSON.parse(text) as { readonly version: string }).version
  }
  return version
}
