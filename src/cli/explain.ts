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
      const reason = REASONS[String(body.reason ?? body.state)]
      if (reason) out.line(`  ${out.dim(reason)}`)
    })
}

const REASONS: Readonly<Record<string, string>> = {
  absent: 'nobody stored it, it expired, or it was deleted or evicted: the next call loads it',
  tag: 'one of its tags was invalidated after it was loaded, or the record of a tag is gone: the next call loads it',
  epoch: 'the bucket began anew (clear, flush, or a restart) after it was stored: the next call loads it',
  incarnation: 'it was stored on another incarnation of the server (restart, failover): it is not trusted',
  expired: 'its time is over, that of its stale copy too',
  format: 'it is no entry of this release: another release or another program wrote it',
  stale: 'its TTL is over; where the call allows it is served while a reload runs',
}
