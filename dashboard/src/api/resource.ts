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

/** What a GET answers. `path` undefined: nothing is asked. */
export function useResource<T>(path: string | undefined, options: ResourceOptions = {}): Resource<T> {
  const { query, everyMs, keep = false } = options
  const url = path === undefined ? undefined : apiUrl(path, query)
  const [known, setKnown] = useState<{ url?: string; data?: T; refusal?: Refusal }>({})
  const [asking, setAsking] = useState(path !== undefined)
  const [turn, setTurn] = useState(0)
  const latest = useRef({ path, query })
  latest.current = { path, query }

  useEffect(() => {
    if (url === undefined) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async () => {
      setAsking(true)
      try {
        const { path: at, query: by } = latest.current
        const data = await ask<T>(at!, { query: by, signal: stop.signal })
        setKnown({ url, data })
      } catch (error) {
        if (stop.signal.aborted) return
        const refusal = error instanceof Refusal ? error : new Refusal(0, String(error))
        setKnown((before) => ({ url, data: before.url === url ? before.data : undefined, refusal }))
      }
      setAsking(false)
      schedule()
    }
    const schedule = () => {
      if (everyMs === undefined || stop.signal.aborted) return
      timer = setTimeout(() => (document.hidden || paused.peek() ? schedule() : void look()), everyMs)
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
