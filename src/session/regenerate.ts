import type { Duration } from '../base/duration.ts'
import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { SessionConflict, SessionReadOnly, SessionRevoked } from './errors.ts'
import { openSuccessor, sealSuccessor } from './ids.ts'
import { life } from './options.ts'
import type { SessionRecords } from './records.ts'
import { save } from './save.ts'
import {
  type Session,
  type SessionInfo,
  type SessionState,
  stateOf,
  takeStored,
  takeTiming,
} from './session.ts'
import type { Move, Stored } from './store.ts'

/** A login, or a new id only. */
export interface RegenerateOptions {
  /** A login: the session gets this user and a new absolute life, and the old id is dead at once. */
  user?: string | undefined
  /** Shown by `listByUser`, at most 1 KiB. */
  info?: SessionInfo | undefined
  /** From `mark(user)`, taken before the credentials were checked: refuses if all were revoked since. */
  mark?: string | undefined
  /** Instead of the instance's. */
  absolute?: Duration | undefined
  /** Without a login: how long the old id leads to the new one. @default the instance's `grace` */
  grace?: Duration | undefined
}

const MAX_TRIES = 5

/** See `Sessions.regenerate`. */
export async function regenerate<T extends object>(
  records: SessionRecords<T>,
  session: Session<T>,
  options: RegenerateOptions,
): Promise<boolean> {
  const { user } = options
  if (user !== undefined && options.grace !== undefined) {
    throw new InvalidOption('a login has a grace', 'leave it out: the old id must die at once')
  }
  const state = stateOf(session)
  if (state.readOnly) throw new SessionReadOnly()
  if (!(await save(records, session))) return false
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const old = state.id
    const id = records.ids.make({ user: user ?? state.user, id: old })
    records.copies?.drop(state.place.key)
    const move = moveOf(records, state, id, options)
    const reply = await records.store.move(move)
    switch (reply.state) {
      case 'moved-now':
        state.id = id
        state.place = move.to
        rememberTexts(state, move.fields)
        takeTiming(state, reply)
        state.endsAt = reply.endsAt
        if (user !== undefined) state.createdAt = reply.now
        break
      case 'apart': {
        if (!(await takeAndCreate(records, state, id, options))) return false
        state.id = id
        state.place = move.to
        break
      }
      case 'revoked':
        throw new SessionRevoked()
      case 'gone':
        return false
      default: {
        // Somebody else wrote or regenerated: look again; a login goes on from there.
        const next = reply.state === 'moved' ? openSuccessor(reply.to, old) : old
        if (next === undefined || !(await reload(records, session, next))) return false
        if (reply.state === 'moved' && user === undefined) return true
        continue
      }
    }
    state.user = user ?? state.user
    state.info = options.info ?? state.info
    return true
  }
  throw new SessionConflict([])
}

function moveOf<T extends object>(
  records: SessionRecords<T>,
  state: SessionState,
  id: string,
  options: RegenerateOptions,
): Move {
  const { codec, settings, ids } = records
  const { user, info } = options
  const to = ids.place(id)
  const graceMs = user !== undefined ? 0 : toMs(options.grace ?? settings.graceMs, 'grace')
  const owner = records.owner(user ?? state.user, to.member)
  return {
    from: state.place,
    to,
    alias: graceMs >= 1 ? sealSuccessor(id, state.id, records.store.random) : '',
    graceMs: Math.max(1, graceMs),
    ifVersion: codec.bound ? state.version : undefined,
    fields: codec.bound ? sealAnew(records, state, to.member) : new Map(),
    note: info || codec.bound ? records.note(info ?? state.info, to.member) : undefined,
    login:
      user !== undefined && owner
        ? { owner, absoluteMs: absoluteMs(records, options), mark: options.mark ?? '' }
        : undefined,
    owner,
  }
}

/**
 * Old and new id lie on different nodes of a cluster: no step covers both. The old session ends
 * first, so two logins cannot both succeed; a crash in between means logged out.
 */
async function takeAndCreate<T extends object>(
  records: SessionRecords<T>,
  state: SessionState,
  id: string,
  options: RegenerateOptions,
): Promise<boolean> {
  const taken = await records.store.destroy(state.place)
  if (taken.state !== 'destroyed') return false
  const fields = openAll(records, state.place.member, taken.stored)
  if (!fields) return false
  const to = records.ids.place(id)
  const texts = new Map<string, string>()
  for (const [name, json] of fields) texts.set(name, records.codec.seal(json, to.member, `.${name}`))
  const left = Math.max(1, taken.stored.endsAt - taken.stored.now)
  const reply = await records.store.create(to, {
    fields: texts,
    owner: records.owner(options.user ?? state.user, to.member),
    note: records.note(options.info ?? state.info, to.member),
    mark: options.mark ?? '',
    idleMs: taken.stored.idleMs,
    absoluteMs: options.user === undefined ? left : absoluteMs(records, options),
  })
  if (reply.state === 'revoked') throw new SessionRevoked()
  if (reply.state !== 'created') return false
  takeTiming(state, reply)
  state.createdAt = reply.now
  state.endsAt = reply.endsAt
  rememberTexts(state, texts)
  return true
}

function openAll<T extends object>(
  records: SessionRecords<T>,
  member: string,
  stored: Stored,
): Map<string, string> | undefined {
  try {
    return new Map(
      [...stored.fields].map(([name, text]) => [name, records.codec.unseal(text, member, `.${name}`)]),
    )
  } catch {
    records.counts.corrupt++
    return undefined
  }
}

/** Fields under the new id's name; what the object knows is what the store will hold. */
function sealAnew<T extends object>(
  records: SessionRecords<T>,
  state: SessionState,
  member: string,
): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [name, { json }] of state.known) texts.set(name, records.codec.seal(json, member, `.${name}`))
  return texts
}

function rememberTexts(state: SessionState, texts: ReadonlyMap<string, string>): void {
  for (const [name, text] of texts) {
    const known = state.known.get(name)
    if (known) state.known.set(name, { ...known, text })
  }
}

async function reload<T extends object>(
  records: SessionRecords<T>,
  session: Session<T>,
  id: string,
): Promise<boolean> {
  const place = records.ids.place(id)
  const reply = await records.store.load(place, -1)
  if (reply.state !== 'found') return false
  const fresh = await records.revive(id, place, reply.stored, false)
  if (!fresh) return false
  const state = stateOf(session)
  session.data = fresh.data
  Object.assign(state, stateOf(fresh))
  takeStored(state, reply.stored)
  return true
}

const absoluteMs = <T extends object>(records: SessionRecords<T>, options: RegenerateOptions): number =>
  options.absolute === undefined ? records.settings.absoluteMs : life(options.absolute, 'absolute')
