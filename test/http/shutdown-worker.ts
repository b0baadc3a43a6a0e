/** A server that answers slowly, for a signal to come in between. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { holdfast } from '../../src/holdfast.ts'
import { gracefulShutdown } from '../../src/http/shutdown.ts'
import { serve } from '../support/processes.ts'

let began = false
const server = createServer((_req, res) => {
  began = true
  setTimeout(() => res.end('slow but whole'), 500)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
gracefulShutdown(server, holdfast())
serve({ url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`, began: () => began })
