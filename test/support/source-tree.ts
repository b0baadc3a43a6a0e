/**
 * Reads a tree of TypeScript files as text and answers questions about it: what imports what, what
 * a file mentions outside comments and strings. For architecture.test.ts, which holds the rules.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'

export interface Import {
  readonly specifier: string
  readonly dynamic: boolean
  /** Path inside the tree, for relative imports. */
  readonly target: string | undefined
}

export interface SourceFile {
  /** With forward slashes, from the root of the tree: `cache/store.ts`. */
  readonly path: string
  readonly text: string
  /** Text without comments and without the content of quoted strings (templates stay). */
  readonly code: string
  readonly lines: number
  readonly imports: readonly Import[]
}

export function readTree(root: string, extensions: readonly string[] = ['.ts']): SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => extensions.some((extension) => path.endsWith(extension)))
    .sort()
    .map((path) => sourceFile(path, readFileSync(join(root, path), 'utf8')))
}

export function sourceFile(path: string, text: string): SourceFile {
  const bare = withoutComments(text)
  return {
    path,
    text,
    code: bare.replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''"),
    lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
    imports: importsOf(path, bare),
  }
}

function importsOf(path: string, bare: string): Import[] {
  const found: Import[] = []
  const add = (specifier: string, dynamic: boolean) => {
    const target = specifier.startsWith('.') ? posix.join(dirname(path), specifier) : undefined
    found.push({ specifier, dynamic, target })
  }
  const statics = /^\s*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]/gm
  for (const match of bare.matchAll(statics)) add(match[1]!, false)
  for (const match of bare.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)) add(match[1]!, true)
  return found
}

/** Blanks comments out, leaving strings, templates and line breaks as they are. */
function withoutComments(text: string): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`/g
  return text.replace(token, (found) => (/^\/[/*]/.test(found) ? found.replace(/[^\n]/g, ' ') : found))
}

/** Groups of files that import each other, type imports included: each is a list of paths. */
export function cyclesIn(files: readonly SourceFile[]): string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const cycles: string[][] = []
  const visit = (path: string): void => {
    order.set(path, order.size)
    low.set(path, order.get(path)!)
    stack.push(path)
    for (const { target } of byPath.get(path)!.imports) {
      if (target === undefined || !byPath.has(target)) continue
      if (!order.has(target)) {
        visit(target)
        low.set(path, Math.min(low.get(path)!, low.get(target)!))
      } else if (stack.includes(target)) {
        low.set(path, Math.min(low.get(path)!, order.get(target)!))
      }
    }
    if (low.get(path) !== order.get(path)) return
    const group = stack.splice(stack.indexOf(path))
    const importsItself = byPath.get(path)!.imports.some(({ target }) => target === path)
    if (group.length > 1 || importsItself) cycles.push(group.sort())
  }
  for (const { path } of files) if (!order.has(path)) visit(path)
  return cycles
}
