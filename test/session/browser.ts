/** A visitor that keeps cookies, and a gate that holds a request until the test lets it go on. */
export function browser(base: string): (path: string) => Promise<unknown> {
  const jar = new Map<string, string>()
  return async (path) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(base + path, { headers: cookie ? { cookie } : {} })
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = line.slice(0, line.indexOf(';')).split(/=(.*)/s)
      if (value === '' || /max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    if (!response.ok) throw new Error(`${path} answered ${response.status}`)
    return response.json()
  }
}

export interface Gate {
  /** In the application: waits here. */
  pass(): Promise<void>
  /** In the test: resolves when somebody waits. */
  arrived(): Promise<void>
  open(): void
}

export function gate(): Gate {
  let arrive = () => {}
  let open = () => {}
  let arrival = new Promise<void>((resolve) => {
    arrive = resolve
  })
  return {
    pass() {
      const passage = new Promise<void>((resolve) => {
        open = resolve
      })
      arrive()
      return passage
    },
    arrived: () => arrival,
    open() {
      arrival = new Promise<void>((resolve) => {
        arrive = resolve
      })
      open()
    },
  }
}
