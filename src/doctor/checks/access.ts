import { type Check, ofServers } from '../check.ts'
import { fail, pass, skip, type Verdict, warn } from '../finding.ts'

const EVERYWHERE = /^(?:\*|0\.0\.0\.0|::)$/

/** D19 and D20: what the server lets us do, and who else can reach it. */
export const accessChecks: readonly Check[] = [
  ofServers('D19', 'Commands we need', (server, { writeTest }) => {
    const denied = Object.entries(server.denied)
    const broken = writeTest?.steps.find((step) => !step.ok)
    if (denied.length > 0) {
      const names = denied.map(([command]) => command)
      const renamed = denied.every(([, answer]) => /unknown command/i.test(answer))
      return fail(
        `not allowed: ${names.join(', ')}`,
        renamed
          ? 'they were renamed away, or the server is too old'
          : 'the ACL of the user does not allow them',
        renamed
          ? 'take the rename-command lines of these commands away: only KEYS, CONFIG, FLUSHALL, FLUSHDB and MONITOR may go'
          : `ACL SETUSER <user> ${names.map((name) => `+${name.toLowerCase()}`).join(' ')} ~hf:* &hf:*`,
      )
    }
    if (broken) {
      return fail(
        `the write test failed at '${broken.name}': ${broken.why ?? 'another answer than was due'}`,
        server.refusesWrites ? `the server refuses writes: ${server.refusesWrites}` : 'see D7, D14 and D5',
        'mend what those checks name, then run the test again',
      )
    }
    const tested = writeTest ? `; write test: ${writeTest.steps.map(({ name }) => name).join(', ')} ok` : ''
    if (server.config === undefined && !server.vendor?.managed) {
      return warn(
        `all are allowed; CONFIG is not, so INFO was used${tested}`,
        'CONFIG is renamed away or denied, which is good for safety',
        'nothing: Holdfast never needs it. bind address and save points could not be read',
      )
    }
    return pass(`all are allowed${tested}`)
  }),

  {
    id: 'D20',
    title: 'Exposure',
    judge(evidence) {
      const { admin } = evidence
      if (admin && isOpen(admin.host) && !admin.authenticated) {
        return fail(
          `the administration listens on ${admin.host} without authentication`,
          'whoever reaches this machine may clear the cache and read sessions',
          'listen on 127.0.0.1, or give it tokens',
        )
      }
      const seen = servers.judge(evidence)
      if (seen.status === 'fail' || !admin) return seen
      if (isOpen(admin.host)) {
        return warn(
          `the administration listens on ${admin.host}, with authentication`,
          'it can be reached from other machines',
          'put it behind a reverse proxy with TLS, or on 127.0.0.1',
        )
      }
      return seen.status === 'skip' ? pass('the administration listens on this machine only') : seen
    },
  },
]

const isOpen = (host: string): boolean => EVERYWHERE.test(host)

const servers = ofServers('D20', 'Exposure', ({ config, reach, door }): Verdict => {
  const bind = config?.bind
  const open =
    bind === undefined ? reach === 'public' : bind.split(/\s+/).some((word) => isOpen(word.replace(/^-/, '')))
  const where =
    bind === undefined
      ? `the server is reached at a ${reach} address`
      : `the server listens on ${bind || 'every address'}`
  if (!open && bind !== '') return pass(where)
  const mend =
    'bind 127.0.0.1 or the private address; publish containers as 127.0.0.1:6379:6379; close the port in the firewall'
  if (door === undefined) return skip(`${where}; cannot tell whether it asks for a password`)
  return door === 'anybody'
    ? fail(
        `${where} without a password`,
        'everybody in the network may read, change and delete everything',
        mend,
      )
    : warn(`${where}, with a password`, 'anybody in the network may try passwords', mend)
})
