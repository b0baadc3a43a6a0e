/**
 * Runs the commands of a README as they are written there, so that they are right. Of the blocks marked
 * `sh` it takes what begins with `curl` or with `name=$(curl …)`, in order, in one shell. A comment line
 * right below a command is what it prints, with `…` for what differs each time.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface RanCommand {
  readonly command: string
  /** What the README says that it prints; undefined where it says nothing. */
  readonly said: string | undefined
  readonly printed: string
}

const COMMAND = /^(?:curl|[a-z]+=\$\(\s*curl)\b/
const MARK = '\u241e'

/** @param instead addresses and placeholders of the README, and what stands for them here */
export async function runReadme(
  path: string,
  instead: Readonly<Record<string, string>>,
): Promise<RanCommand[]> {
  let text = readFileSync(path, 'utf8')
  for (const [written, here] of Object.entries(instead)) text = text.replaceAll(written, here)
  const commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) => commandsIn(block!))
  const script = commands.map(({ command }) => `${command}\nprintf '${MARK}'`).join('\n')
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-readme-'))
  try {
    const shell = promisify(execFile)('bash', ['-e', '-o', 'pipefail', '-c', script], {
      cwd: folder,
      timeout: 60_000,
    })
    const outputs = (await shell).stdout.split(MARK)
    return commands.map((command, index) => ({ ...command, printed: outputs[index]!.trim() }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function commandsIn(block: string): { command: string; said: string | undefined }[] {
  // A line that ends with a backslash goes on.
  const lines = block.replace(/\\\n\s*/g, '').split('\n')
  return lines.flatMap((line, index) => {
    if (!COMMAND.test(line)) return []
    const below = []
    for (let at = index + 1; lines[at]?.startsWith('# '); at++) below.push(lines[at]!.slice(2))
    return [{ command: line, said: below.length > 0 ? below.join('\n') : undefined }]
  })
}

/** Whether what was printed is what the README says, `…` standing for anything. */
export function isAsSaid({ said, printed }: RanCommand): boolean {
  if (said === undefined) return true
  const literal = said.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${literal.join('[^]*')}$`).test(printed)
}
