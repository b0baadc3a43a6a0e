/** The Markdown pages of the repository, and what tests ask of them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Page {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url))

const OUTSIDE = /(?:^|\/)(?:node_modules|dist|\.git|\.docs-blocks|coverage)(?:\/|$)/

export function markdownPages(): Page[] {
  const found: Page[] = []
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(repositoryRoot, folder), { withFileTypes: true })) {
      const path = folder ? `${folder}/${entry.name}` : entry.name
      if (OUTSIDE.test(path)) continue
      if (entry.isDirectory()) walk(path)
      else if (entry.name.endsWith('.md')) {
        found.push({ path, text: readFileSync(join(repositoryRoot, path), 'utf8') })
      }
    }
  }
  walk('')
  return found
}

/** Relative links of a page, code aside: `[text](target#anchor)` and image targets. */
export function linksOf(page: Page): { target: string; anchor: string | undefined }[] {
  const prose = page.text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((link) => !/^[a-z]+:/i.test(link))
    .map((link) => {
      const [target = '', anchor] = link.split('#', 2)
      return { target, anchor }
    })
}

/** Fenced blocks with the language that they name. */
export function codeBlocks(page: Page): { language: string; text: string }[] {
  const found: { language: string; text: string }[] = []
  let open: { language: string; lines: string[] } | undefined
  for (const line of page.text.split('\n')) {
    const fence = /^```(\S*)\s*$/.exec(line)
    if (!fence) open?.lines.push(line)
    else if (open) {
      found.push({ language: open.language, text: open.lines.join('\n') })
      open = undefined
    } else open = { language: fence[1] ?? '', lines: [] }
  }
  return found
}

/** Anchors that a forge makes of the headings of a page. */
export function anchorsOf(page: Page): Set<string> {
  const headings = page.text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6}\s+(.+?)\s*$/gm)
  const anchors = new Set<string>()
  for (const [, heading = ''] of headings) {
    const base = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-')
    let name = base
    for (let copy = 1; anchors.has(name); copy++) name = `${base}-${copy}`
    anchors.add(name)
  }
  return anchors
}

/** Rows of every table of a page, cells trimmed, without the header rules. */
export function tableRows(page: Page): string[][] {
  return page.text
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s:|-]+\|$/.test(line))
    .map((line) =>
      line
        .slice(1, line.lastIndexOf('|'))
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
}
