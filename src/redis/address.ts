import type { Target } from './link.ts'

/** `host:port`, `[v6]:port`, or the path of a unix socket. */
export const formatAddress = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** The way back; undefined for a unix socket, which only the dialer can reach. */
export function parseAddress(address: string): Target | undefined {
  const match = /^(?:\[(.+)\]|([^:/]+)):(\d+)$/.exec(address)
  const host = match?.[1] ?? match?.[2]
  return host ? { host, port: Number(match?.[3]) } : undefined
}
