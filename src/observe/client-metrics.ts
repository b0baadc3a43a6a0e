import { Counter } from 'prom-client'
import type { SessionCounters } from '../session/records.ts'
import type { TokenCounters } from '../token/client.ts'
import { LabelCap } from './labels.ts'
import type { PartSetup, Stop } from './part.ts'

const SESSION_EVENTS: Readonly<Record<keyof SessionCounters, string>> = {
  created: 'created',
  loaded: 'loaded',
  missed: 'missed',
  saved: 'saved',
  unchanged: 'unchanged',
  refused: 'refused',
  corrupt: 'corrupt',
  fromCopies: 'copy',
}

const TOKEN_EVENTS: Readonly<Record<keyof TokenCounters, string>> = {
  calls: 'call',
  failures: 'failure',
  local: 'local',
  shared: 'shared',
  dropped: 'dropped',
  alone: 'alone',
  corrupt: 'corrupt',
}

/** Sessions and tokens, read from their own counters when somebody scrapes. */
export function clientMetrics({ register, instances }: PartSetup): Stop {
  const cap = new LabelCap()
  new Counter({
    name: 'holdfast_session_events_total',
    help: 'Sessions created, loaded, missed, saved, unchanged, refused because gone, corrupt, or read from a local copy.',
    labelNames: ['store', 'event'],
    registers: [register],
    collect() {
      this.reset()
      for (const hf of instances) {
        for (const [name, counters] of hf.operations.counters().sessions) {
          for (const [field, event] of Object.entries(SESSION_EVENTS)) {
            this.inc({ store: cap.of(name), event }, counters[field as keyof SessionCounters])
          }
        }
      }
    },
  })
  new Counter({
    name: 'holdfast_token_events_total',
    help: 'OAuth tokens: calls of the endpoint and their failures, answers from here and from the store, drops after a 401, answers without the store, corrupt ones.',
    labelNames: ['event'],
    registers: [register],
    collect() {
      this.reset()
      for (const hf of instances) {
        for (const counters of hf.operations.counters().tokens) {
          for (const [field, event] of Object.entries(TOKEN_EVENTS)) {
            this.inc({ event }, counters[field as keyof TokenCounters])
          }
        }
      }
    },
  })
  return () => undefined
}
