/**
 * Runs once before all tests: without the programs that the tests drive, fail here with one clear
 * sentence instead of in a hundred tests. On a bare machine it installs redis-server itself.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export default function setup(): void {
  const script = fileURLToPath(new URL('../../scripts/redis-setup.mjs', import.meta.url))
  execFileSync(process.execPath, [script, '--quiet'], { stdio: ['ignore', 'inherit', 'inherit'] })
}
