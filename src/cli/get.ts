import { Command } from 'commander'
import { type ApiFlags, withApi, withApiOptions } from './api.ts'
import { type Done, EXIT, type Io } from './io.ts'
import { printerOf, withCommon, writeJson } from './session.ts'
import { visible } from './table.ts'

export function getCommand(io: Io, done: Done): Command {
  return withApiOptions(withCommon(new Command('get')))
    .description('one cached value, with its TTL, type and tags; secrets are redacted')
    .argument('<key>', 'as keys lists it; namespaces before |')
    .option('--reveal', 'redact nothing; the audit log will show that you did')
    .action(async (key: string, flags: ApiFlags & { reveal?: true }) => {
      const path = `/api/v1/cache/key/${encodeURIComponent(key)}`
      const query = { reveal: flags.reveal ? 'true' : undefined }
      const { status, body } = await withApi(io, flags, (api) => api.call('GET', path, query))
      if (status === 404) {
        io.stderr.write('there is no such entry\n')
        return done(EXIT.no)
      }
      if (flags.json) return writeJson(io, body)
      const out = printerOf(io, flags)
      out.line(
        out.dim(
          `${visible(key)}: ${String(body.valueType)}, ${String(body.state)}, ttl ${String(body.ttl)} s, ${String(body.bytes)} bytes, tags ${(body.tags as string[]).map(visible).join(', ') || 'none'}`,
        ),
      )
      out.line(JSON.stringify(body.value, undefined, 2))
    })
}
