import { Command } from 'commander'
import { type ApiFlags, withApi, withApiOptions } from './api.ts'
import { type Done, EXIT, type Io } from './io.ts'
import { printerOf, withCommon, writeJson } from './session.ts'
import { visible } from './table.ts'

export function explainCommand(io: Io, done: Done): Command {
  return withApiOptions(withCommon(new Command('explain')))
    .description('why a key is or is not served: state, tags, age, lease, place')
    .argument('<key>', 'as keys lists it; namespaces before |')
    .action(async (key: string, flags: ApiFlags) => {
      const path = `/api/v1/cache/explain/${encodeURIComponent(key)}`
      const { status, body } = await withApi(io, flags, (api) => api.call('GET', path))
      const served = status === 200 && (body.state === 'fresh' || body.state === 'stale')
      done(served ? EXIT.ok : EXIT.no)
      if (flags.json) return writeJson(io, body)
      const out = printerOf(io, flags)
      out.line(
        `${out.bold(visible(key))}: ${served ? out.green(String(body.state)) : out.yellow(String(body.state ?? 'absent'))}`,
      )
      for (const [name, value] of Object.entries(body)) {
        if (value === undefined || value === null || name === 'state' || name === 'key') continue
        out.line(
          `  ${name.padEnd(14)}${visible(typeof value === 'object' ? JSON.stringify(value) : String(value))}`,
        )
      }
    })
}
