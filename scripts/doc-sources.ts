/** What the docs say of the source and a test can compare: options, events, and who has no JSDoc. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

export interface Member {
  readonly name: string
  readonly meaning: string
  readonly fallback: string
}

/**
 * The members of an exported interface in their order, with what their JSDoc says, and then, where
 * asked for, those that it has from another interface.
 * @throws where the interface is not in the file
 */
export function membersOf(path: string, type: string, inherited: boolean): Member[] {
  const body = bodyOf(read(path), type)
  if (body === undefined) throw new Error(`${path} has no interface ${type}`)
  const own = membersIn(body)
  const more = inherited && /^export interface [^{]*? extends (\w+)\b(?!<)/.exec(body)?.[1]
  const others = more ? membersIn(wherever(more)) : []
  return [...own, ...others.filter(({ name }) => own.every((member) => member.name !== name))]
}

function membersIn(body: string): Member[] {
  const found: Member[] = []
  // Two spaces and no more: members of the interface itself, not of what stands inside it.
  const member = /^ {2}(?:(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\s*)?(?:readonly )?(\w+)\??(?::\s|\()/gm
  for (const [, comment = '', name = ''] of body.matchAll(member)) {
    found.push({ name, ...saidBy(comment) })
  }
  return found
}

/** Rows for a table of options: name, meaning, default; with those that it has from another interface. */
export function optionRows(path: string, type: string, inherited: boolean): string[][] {
  return membersOf(path, type, inherited).map(({ name, meaning, fallback }) => [
    `\`${name}\``,
    cell(meaning),
    cell(fallback),
  ])
}

/** Rows for the table of events: channel, when, what it carries. */
export function eventRows(): string[][] {
  const rows = new Map<string, string[]>()
  for (const path of sources()) {
    const text = read(path)
    const declared =
      /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*)?^(?!.*\bhear\().*?eventChannel<(\w+)>\(\s*'(holdfast:[a-z:-]+)'/gm
    for (const [, comment = '', type = '', channel = ''] of text.matchAll(declared)) {
      const payload = bodyOf(text, type) ?? ''
      const more = /^export interface \w+ extends (\w+)/.exec(payload)?.[1]
      const fields = new Set([...fieldsOf(payload), ...(more ? fieldsOf(wherever(more)) : [])])
      const said = meaningOf(comment) || meaningOf(commentBefore(text, type))
      rows.set(channel, [`\`${channel}\``, cell(said), [...fields].map((field) => `\`${field}\``).join(' ')])
    }
  }
  return [...rows.values()].sort(([a = ''], [b = '']) => a.localeCompare(b, 'en'))
}

/** A table of bench/results.md as it stands there, by its section and the beginning of its heading. */
function measured(section: string, heading: string): string {
  const part = read('bench/results.md')
    .split(/^(?=## )/m)
    .find((text) => text.startsWith(`## ${section}\n`))
  const at = heading === '' ? 0 : (part?.indexOf(`\n### ${heading}`) ?? -1)
  const table = at < 0 ? undefined : /^(?:\|.*\n)+/m.exec(part?.slice(at) ?? '')?.[0]
  if (table === undefined) throw new Error(`bench/results.md has no table ${section}: ${heading}`)
  return table
}

/**
 * A page with the rows of its tables as the source has them now. Each table follows a note that says
 * where from: `<!-- options of src/options.ts HoldfastOptions: npm run docs:tables -->` (`own options` leaves
 * out what is inherited), `<!-- events: … -->`,
 * `<!-- measured cache, Stampede: … -->`.
 */
export function withTables(page: string): string {
  const table =
    /(<!-- ((?:own )?options of (\S+) (\w+)|events|measured (\w+), ?(.*)): npm run docs:tables -->\n)((?:\|.*\n)*)/g
  return page.replace(table, (_, note: string, what: string, path, type, section, heading, old: string) => {
    if (section !== undefined) return note + measured(section, heading)
    const head = old.split('\n').slice(0, 2).join('\n')
    const rows = what === 'events' ? eventRows() : optionRows(path, type, !what.startsWith('own '))
    return `${note}${head}\n${rows.map((cells) => `| ${cells.join(' | ')} |\n`).join('')}`
  })
}

export interface PublicSymbol {
  readonly name: string
  /** `holdfast/cache`, `holdfast`. */
  readonly from: string
  readonly file: string
  readonly documented: boolean
}

/** Everything that the index files of the subpaths offer, followed to where it is declared. */
export function publicSymbols(): PublicSymbol[] {
  return sources()
    .filter((path) => /^src\/(?:[^/]+\/)?index\.ts$/.test(path))
    .flatMap((path) => {
      const from = `holdfast${path === 'src/index.ts' ? '' : `/${path.split('/')[1]}`}`
      return [...offered(path)].map(([name, { file, documented }]) => ({ name, from, file, documented }))
    })
}

/** Methods of an exported class or interface that no comment stands above; later overloads aside. */
export function silentMethods({ file, name }: PublicSymbol): string[] {
  const body = new RegExp(`^export (?:abstract )?(?:class|interface) ${name}\\b[\\s\\S]*?^\\}`, 'm').exec(
    read(file),
  )?.[0]
  const found = new Map<string, boolean>()
  for (const { 1: method = '', index } of body?.matchAll(/^ {2}(?:static |async )*([a-z]\w*)(?:<.*>)?\(/gm) ??
    []) {
    const before = body!.slice(0, index).replace(NOTES, '')
    if (!found.has(method)) found.set(method, /\*\/\s*$/.test(before))
  }
  found.delete('constructor')
  return [...found].flatMap(([method, said]) => (said ? [] : [`${name}.${method}`]))
}

/** What may stand between a comment and its declaration: notes for the linter, decorators. */
const NOTES = /(?:(?<=\n) *(?:\/\/|@).*\n)+$/

type Offer = ReadonlyMap<string, { readonly file: string; readonly documented: boolean }>

function offered(path: string): Offer {
  const text = read(path)
  const found = new Map<string, { file: string; documented: boolean }>()
  const there = (target: string) => posix.join(dirname(path), target)
  for (const [, names = '', target = ''] of text.matchAll(
    /^export (?:type )?\{([^}]*)\} from '(\.[^']+)'/gm,
  )) {
    const inside = offered(there(target))
    for (const entry of names.split(',').map((name) => name.trim().replace(/^type /, ''))) {
      const [inner = '', outer = inner] = entry.split(' as ')
      if (entry) found.set(outer, inside.get(inner) ?? { file: there(target), documented: false })
    }
  }
  for (const [, target = ''] of text.matchAll(/^export \* from '(\.[^']+)'/gm)) {
    for (const [name, where] of offered(there(target))) found.set(name, where)
  }
  const declaration =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|const|let) (\w+)/gm
  for (const { 1: name = '', index } of text.matchAll(declaration)) {
    if (!found.has(name)) found.set(name, { file: path, documented: isCommented(text, index) })
  }
  return found
}

const isCommented = (text: string, at: number): boolean => {
  const before = text.slice(0, at).replace(NOTES, '')
  return /\*\/\s*$/.test(before) && before.lastIndexOf('/**') > before.lastIndexOf('\n\n')
}

function sources(): string[] {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((name) => `src/${name.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.ts'))
    .sort()
}

function bodyOf(text: string, type: string): string | undefined {
  return new RegExp(`^export (?:interface|type) ${type}\\b[\\s\\S]*?^(?:\\}|\\))`, 'm').exec(text)?.[0]
}

/** The declaration of a type, in whichever file it is. */
function wherever(type: string): string {
  const found = sources().map((path) => bodyOf(read(path), type))
  return found.find((body) => body !== undefined) ?? ''
}

const fieldsOf = (body: string): string[] =>
  [...body.matchAll(/\breadonly (\w+)\??:/g)].map(([, name = '']) => name)

/** What a comment says of an event, without the name of the channel. */
function meaningOf(comment: string): string {
  const text = saidBy(comment).meaning.replace(/^`holdfast:[^`]+`(?:: )?/, '')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function commentBefore(text: string, type: string): string {
  const at = text.search(new RegExp(`^export (?:interface|type) ${type}\\b`, 'm'))
  return at > 0 && isCommented(text, at) ? text.slice(text.lastIndexOf('/**', at), at) : ''
}

function saidBy(comment: string): { meaning: string; fallback: string } {
  const text = comment
    .replace(/^\s*\/\*\*|\*\/\s*$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
  const [meaning = '', ...tags] = ` ${text}`.split(/ (?=@[a-z])/)
  const fallback = tags.find((tag) => tag.startsWith('@default'))?.slice('@default'.length) ?? ''
  return { meaning: meaning.trim(), fallback: fallback.trim() }
}

const cell = (text: string): string => text.replaceAll('|', '\\|')
