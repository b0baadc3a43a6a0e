import { signal } from '@preact/signals'
import type { Overview } from '../../../src/admin/answers/overview.ts'
import type { StreamEvents } from '../../../src/admin/answers/stream.ts'
import { readEvents } from './event-reader.ts'
import { apiUrl, ask, authorization, Refusal, refusalOf } from './request.ts'

export type Connection = 'connecting' | 'live' | 'polling' | 'lost'

export const connection = signal<Connection>('connecting')
/** The last minute, as of a second ago; kept as it was while the connection is lost. */
export const overview = signal<Overview | undefined>(undefined)
/** Stops the figures, not the connection: nothing moves while somebody reads. */
export const paused = signal(false)
export const overviewRefusal = signal<Refusal | undefined>(undefined)
/** Counts what was written to the audit log since the page is open: views that show it ask again. */
export const auditCount = signal(0)
export type Happening = StreamEvents['state'] | StreamEvents['invalidation']
/** What connections did lately, and what was dropped: newest first. */
export const happenings = signal<readonly Happening[]>([])

const KEEP_HAPPENINGS = 30
/** Without a byte for this long the connection counts as dead: heartbeats come more often. */
const SILENCE_MS = 20_000
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 5_000
const POLL_MS = 4_000

let running: AbortController | undefined

export function goLive(): void {
  stopLive()
  running = new AbortController()
  void keepListening(running.signal)
}

export function stopLive(): void {
  running?.abort()
  running = undefined
  connection.value = 'connecting'
}

async function keepListening(stop: AbortSignal): Promise<void> {
  let wait = FIRST_WAIT_MS
  while (!stop.aborted) {
    let least = 0
    try {
      await listen(stop, () => {
        wait = FIRST_WAIT_MS
      })
    } catch (error) {
      if (stop.aborted) return
      if (error instanceof Refusal) {
        if (error.status === 401) return
        least = (error.retryAfter ?? 0) * 1_000
      }
    }
    if (stop.aborted) return
    // Where only the stream is missing, asking is the stream: it must not slow down.
    if (await pollOnce(stop)) wait = Math.min(wait, POLL_MS)
    // Jitter, or all open pages come back to a restarted server at once.
    await pause(Math.max(least, wait * (0.75 + Math.random() / 2)), stop)
    wait = Math.min(LONGEST_WAIT_MS, wait * 2)
  }
}

async function listen(stop: AbortSignal, opened: () => void): Promise<void> {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), SILENCE_MS)
  const heard = () => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(), SILENCE_MS)
  }
  try {
    const response = await fetch(apiUrl('stream'), {
      headers: { ...authorization(), Accept: 'text/event-stream' },
      signal: AbortSignal.any([stop, silence.signal]),
      cache: 'no-store',
      credentials: 'omit',
    })
    if (!response.ok || response.body === null) throw await refusalOf(response)
    for await (const { name, data } of readEvents(response.body, heard)) {
      opened()
      connection.value = 'live'
      take(name, data)
    }
  } finally {
    clearTimeout(timer)
  }
}

function take(name: string, data: string): void {
  if (name === 'overview') show(JSON.parse(data) as StreamEvents['overview'])
  else if (name === 'audit') auditCount.value++
  else if (name === 'state' || name === 'invalidation') {
    if (paused.peek()) return
    happenings.value = [JSON.parse(data) as Happening, ...happenings.peek()].slice(0, KEEP_HAPPENINGS)
  }
}

/** Without a stream (too many readers, a proxy that buffers) the figures still come, if more slowly. */
async function pollOnce(stop: AbortSignal): Promise<boolean> {
  try {
    const found = await ask<Overview>('overview', { signal: stop })
    connection.value = 'polling'
    show(found)
    return true
  } catch (error) {
    if (stop.aborted || !(error instanceof Refusal)) return false
    // Refused is an answer: the server is there.
    connection.value = error.status === 0 ? 'lost' : 'polling'
    overviewRefusal.value = error
    return false
  }
}

function show(found: Overview): void {
  overviewRefusal.value = undefined
  if (!paused.peek()) overview.value = found
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    stop.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
