import { readJson } from '../cache/json.ts'
import { type Difference, differences, settleKnown } from './changes.ts'
import { SessionConflict, SessionReadOnly } from './errors.ts'
import type { Known } from './fields.ts'
import { openSuccessor } from './ids.ts'
import type { SessionRecords } from './records.ts'
import { type Session, type SessionState, stateOf, takeTiming } from './session.ts'
import { sizeOf } from './size.ts'

const MAX_TRIES = 5

/** Sends what differs from what was loaded. False: the session is gone. See `Sessions.update`. */
export async function save<T extends object>(
  records: SessionRecords<T>,
  session: Session<T>,
): Promise<boolean> {
  const { codec, store, settings, counts } = records
  await codec.check(session.data)
  const state = stateOf(session)
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const { place } = state
    const guarded = settings.conflict !== 'lastWrite'
    const difference = differences(codec, place.member, session.data, state.known, guarded)
    if (difference.changes.length === 0) {
      counts.unchanged++
      return true
    }
    if (state.readOnly) throw new SessionReadOnly()
    refuseLargeChanges(records, difference)
    const reply = await store.save(place, difference.changes, settings)
    switch (reply.state) {
      case 'saved':
        settleKnown(state.known, difference.after)
        takeTiming(state, reply)
        counts.saved++
        return true
      case 'conflict':
        await merge(records, session, state, place.member, reply.fields)
        break
      case 'moved': {
        const next = openSuccessor(reply.to, state.id)
        if (next === undefined) return false
        state.id = next
        state.place = records.ids.place(next)
        break
      }
      case 'too-large':
        return records.refuseLarge(reply.bytes, reply.fields) ?? false
      case 'gone':
        counts.refused++
        return false
    }
  }
  throw new SessionConflict([])
}

/** Writes fields of a session that was not loaded. */
export async function patch<T extends object>(
  records: SessionRecords<T>,
  id: string,
  fields: object,
): Promise<boolean> {
  let current = id
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const place = records.ids.place(current)
    // Removals are what differs from a session in which every named field is there.
    const known = new Map<string, Known>(Object.keys(fields).map((name) => [name, { json: '', text: '' }]))
    const difference = differences(records.codec, place.member, fields, known, false)
    if (difference.changes.length === 0) return true
    refuseLargeChanges(records, difference)
    const reply = await records.store.save(place, difference.changes, records.settings)
    if (reply.state === 'saved') {
      records.counts.saved++
      return true
    }
    if (reply.state === 'too-large') records.refuseLarge(reply.bytes, reply.fields)
    const next = reply.state === 'moved' ? openSuccessor(reply.to, current) : undefined
    if (next === undefined) {
      records.counts.refused++
      return false
    }
    current = next
  }
  return false
}

/** Puts the others' values below ours, and lets the application settle what both changed. */
async function merge<T extends object>(
  records: SessionRecords<T>,
  session: Session<T>,
  state: SessionState,
  member: string,
  conflicts: ReadonlyMap<string, string | undefined>,
): Promise<void> {
  const { conflict } = records.settings
  if (typeof conflict !== 'function') throw new SessionConflict([...conflicts.keys()])
  const data = session.data as Record<string, unknown>
  for (const [name, text] of conflicts) {
    const base = state.known.get(name)
    const json = text === undefined ? undefined : records.codec.unseal(text, member, `.${name}`)
    data[name] = await conflict(name, {
      mine: data[name],
      theirs: json === undefined ? undefined : readJson(json, false),
      base: base === undefined ? undefined : readJson(base.json, false),
    })
    if (json === undefined || text === undefined) state.known.delete(name)
    else state.known.set(name, { json, text })
  }
}

/** What cannot fit in any case is not sent at all. */
function refuseLargeChanges<T extends object>(records: SessionRecords<T>, { changes }: Difference): void {
  const set = new Map<string, string>()
  for (const { name, text } of changes) if (text !== undefined) set.set(name, text)
  records.refuseLarge(sizeOf(set), set.size)
}
