import { InvalidOption } from '../base/errors.ts'
import { decodeName, encodeGlob } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import { type LookOptions, namePage, type PageEnd, pageRequest } from '../base/page.ts'
import { holderName } from '../lock/holder.ts'
import type { OnceLook, OnceRecord, OnceStore } from './store.ts'

/** Which records of run-once are listed. */
export interface OnceListOptions extends LookOptions {
  /** Only records in this state. @default all */
  state?: OnceRecord['state'] | undefined
}

/** One record, without its result. */
export interface OnceListing extends Omit<OnceLook, 'owner'> {
  readonly key: string
  /** Digest of the run's secret, while it runs. */
  readonly holder: string | undefined
}

/** One page of the records of run-once. */
export interface OncePage extends PageEnd {
  readonly records: readonly OnceListing[]
}

const LOOK_MS = 2_000
const OPTIONS = ['pattern', 'limit', 'cursor', 'budget', 'state']
const STATES: readonly OnceRecord['state'][] = ['running', 'done', 'failed', 'retryable', 'indeterminate']

export async function listOnce(store: OnceStore, options: OnceListOptions): Promise<OncePage> {
  refuseUnknown(options, OPTIONS, 'once.list()')
  const { state, pattern = '*' } = options
  if (state !== undefined && !STATES.includes(state)) {
    throw new InvalidOption('state is none of a record', `give one of ${STATES.join(', ')}`)
  }
  const glob = encodeGlob(pattern)
  const request = pageRequest(store.clock, options)
  await store.opening()
  const { names, cursor, truncated } = await namePage((from) => store.scan(glob, from), request)
  const looks = names.map(async (id): Promise<OnceListing[]> => {
    const found = await store.look(id, LOOK_MS)
    if (!found || (state !== undefined && found.state !== state)) return []
    const { owner, ...rest } = found
    return [{ key: decodeName(id), ...rest, holder: owner === undefined ? undefined : holderName(owner) }]
  })
  return { records: (await Promise.all(looks)).flat(), cursor, truncated }
}
