import { Problem } from '../tasks/problem.ts'
import type { NewContent } from './database.ts'

/** The shape of a CSV text (RFC 4180), which is kept as it came. */
export function readTable(csv: string): NewContent {
  const records: string[][] = []
  let record: string[] = []
  for (const [, quoted, plain = '', end] of csv
    .trim()
    .matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    record.push(quoted?.replaceAll('""', '"') ?? plain)
    if (end === ',') continue
    records.push(record)
    record = []
    if (end === '') break
  }
  const [columns = [], ...rows] = records
  if (columns.some((name) => name.trim() === '') || new Set(columns).size !== columns.length) {
    throw new Problem(422, 'the first line does not name each column once')
  }
  const odd = rows.findIndex((row) => row.length !== columns.length)
  if (odd >= 0) throw new Problem(422, `row ${odd + 1} has another number of cells than there are columns`)
  if (csv.includes('\0')) throw new Problem(422, 'the text holds a zero byte')
  return { columns, rows: rows.length, csv }
}
