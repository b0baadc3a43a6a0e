#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { demo } from './demo.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const program = new Command('holdfast')
  .description('The Redis layer for TypeScript backends, from the command line')
  .version(version)

program
  .command('demo')
  .description('bring up an example backend and show what the cache does for it (needs a clone)')
  .argument('[names...]', 'which examples', ['tasks'])
  .option('--once', 'end after the tour instead of serving until Ctrl-C')
  .option('--json', 'print the figures as JSON')
  .option('--port <number>', 'first port to try for the backends', '3103')
  .addHelpText('after', '\nWith REDIS_URL set, two processes share the cache over Redis.')
  .action(async (names: string[], options: { once?: true; json?: true; port: string }) => {
    process.exitCode = await demo(names, {
      once: options.once ?? false,
      json: options.json ?? false,
      port: Number(options.port),
    })
  })

await program.parseAsync()
