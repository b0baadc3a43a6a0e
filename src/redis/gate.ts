import { sleep } from '../base/clock.ts'
import { RedisUnavailable } from '../base/errors.ts'
import { recheck, type TimeSample } from './identity.ts'
import type { Opened } from './open-session.ts'
import type { GateContext, NodeHooks } from './port.ts'
import type { RedisSettings } from './settings.ts'

/**
 * Runs the `gate` hooks of a connection that proved itself, before anybody else may use it.
 * Rejects when one rejects, when the connection is lost meanwhile, or when they take too long.
 */
export async function passGates(
  hooks: Iterable<NodeHooks>,
  { session, incarnation }: Opened,
  lost: Promise<Error>,
  { clock, gateMs }: RedisSettings,
): Promise<void> {
  const gates = [...hooks].filter((hook) => hook.gate)
  if (gates.length === 0) return
  const context: GateContext = {
    incarnation,
    send: (args, options) => session.send(args, options),
    eval: (script, keys, args, options) => session.eval(script, keys, args, options),
  }
  const timer = new AbortController()
  try {
    await Promise.race([
      Promise.all(gates.map((hook) => hook.gate?.(context))),
      lost.then((cause) => Promise.reject(cause)),
      sleep(clock, gateMs, timer.signal).then(() => {
        throw new RedisUnavailable(`the gate of ${session.link.address} did not open within ${gateMs} ms`)
      }),
    ])
  } finally {
    timer.abort()
  }
}

/**
 * Plain REPLICAOF and FAILOVER keep client connections open: only looking again shows that the
 * server behind a socket is no master any more, or holds another history. Ends the session then.
 * @returns stops looking
 */
export function keepProving(
  { session, identity }: Opened,
  { clock, recheckMs, deadAfterMs }: RedisSettings,
  onSample: (sample: TimeSample) => void,
): () => void {
  const { address } = session.link
  const look = () => {
    recheck(session, deadAfterMs, () => clock.mono()).then(
      ({ role, replid, clock: sample }) => {
        if (session.isLost) return
        if (role !== 'master') session.fail(new RedisUnavailable(`${address} is no master any more`))
        else if (replid !== identity.replid)
          session.fail(new RedisUnavailable(`${address} changed its replication id`))
        else onSample(sample)
        again()
      },
      // Unanswered: the watchdog judges that.
      () => again(),
    )
  }
  const again = () => {
    if (!session.isLost) timer = clock.after(recheckMs, look)
  }
  let timer = clock.after(recheckMs, look)
  return () => timer.cancel()
}
