import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { paused } from './live.ts'
import { apiUrl, ask, type Query, Refusal } from './request.ts'

export interface Resource<T> {
  /** What came last; kept on screen while newer is asked for, and while asking fails. */
  readonly data: T | undefined
  readonly refusal: Refusal | undefined
  readonly asking: boolean
  reload(): void
}

interface ResourceOptions {
  readonly query?: Query
  /** Asks again after so long, while the page is seen and not paused. */
  readonly everyMs?: number
  /** Another path or query starts from nothing, unless this says that old rows may stand meanwhile. */
  readonly keep?: boolean
}

interface Following<T> extends ResourceOptions {
  /**
   * Where to go on when a page came back empty before the end: one look at a server with a million keys
   * is cut short, and the next may find what this one did not.
   */
  readonly onward?: (data: T) => string | null | undefined
}

/** A look of the server is a quarter second: no more of them for one page of ours. */
const MOST_LOOKS = 24
/** Asking may take this share of the time, however often it should be done. */
const REST = 10

/** What a GET answers. `path` undefined: nothing is asked. */
export function useResource<T>(path: string | undefined, options: Following<T> = {}): Resource<T> {
  const { query, everyMs, keep = false, onward } = options
  const url = path === undefined ? undefined : apiUrl(path, query)
  const [known, setKnown] = useState<{ url?: string; data?: T; refusal?: Refusal }>({})
  const [asking, setAsking] = useState(path !== undefined)
  const [turn, setTurn] = useState(0)
  const latest = useRef({ path, query, onward })
  latest.current = { path, query, onward }

  useEffect(() => {
    if (url === undefined) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async () => {
      setAsking(true)
      const began = performance.now()
      try {
        setKnown({ url, data: await lookOn() })
      } catch (error) {
        if (stop.signal.aborted) return
        const refusal = error instanceof Refusal ? error : new Refusal(0, String(error))
        setKnown((before) => ({ url, data: before.url === url ? before.data : undefined, refusal }))
      }
      setAsking(false)
      schedule(Math.max(everyMs ?? 0, (performance.now() - began) * REST))
    }
    const lookOn = async (): Promise<T> => {
      const { path: at = '', query: by, onward: next } = latest.current
      let data = await ask<T>(at, { query: by, signal: stop.signal })
      for (let i = 1; i < MOST_LOOKS; i++) {
        const cursor = next?.(data)
        if (!cursor) break
        data = await ask<T>(at, { query: { ...by, cursor }, signal: stop.signal })
      }
      return data
    }
    const schedule = (ms: number) => {
      if (everyMs === undefined || stop.signal.aborted) return
      timer = setTimeout(() => (document.hidden || paused.peek() ? schedule(everyMs) : void look()), ms)
    }
    void look()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
    // `turn` is here for reload(): it asks the same again.
  }, [url, everyMs, turn])

  const reload = useCallback(() => setTurn((n) => n + 1), [])
  const current = known.url === url || keep
  return {
    data: current ? known.data : undefined,
    refusal: known.url === url ? known.refusal : undefined,
    asking,
    reload,
  }
}
