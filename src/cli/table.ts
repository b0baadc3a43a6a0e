export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string | number
  /** Numbers stand at the right. */
  readonly right?: boolean | undefined
  /** Cut longer texts in the middle. @default 60 */
  readonly most?: number | undefined
}

/** Lines of columns as wide as what stands in them. Control characters are shown, never sent. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const cells = rows.map((row) => columns.map(({ of, most = 60 }) => shorten(visible(String(of(row))), most)))
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...cells.map((line) => line[i]!.length)),
  )
  const lay = (line: readonly string[]): string =>
    line
      .map((cell, i) => (columns[i]!.right ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [lay(columns.map(({ title }) => title)), ...cells.map(lay)]
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\x00-\x1f\x7f-\x9f]/g

/** What a key or a value may do to a terminal, it does not do. */
export function visible(text: string): string {
  return text.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

export function shorten(text: string, most: number): string {
  if (text.length <= most) return text
  const half = Math.floor((most - 1) / 2)
  return `${text.slice(0, most - 1 - half)}…${text.slice(text.length - half)}`
}
