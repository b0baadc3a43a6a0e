import type { ComponentChildren } from 'preact'

export interface Column<T> {
  readonly head: string
  readonly cell: (row: T) => ComponentChildren
  readonly kind?: 'number' | 'act'
}

interface TableProps<T> {
  /** For those who cannot see what stands above it. */
  readonly label: string
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly keyOf: (row: T) => string
  readonly chosen?: (row: T) => boolean
}

/**
 * A table that becomes a list of cards where it is narrow. The roles are spelt out because
 * `display: block` takes them from the elements.
 */
export function Table<T>({ label, columns, rows, keyOf, chosen }: TableProps<T>) {
  return (
    <div class="table-box">
      {/* biome-ignore lint/a11y/noRedundantRoles: display: block takes the role away */}
      <table class={columns.length === 1 ? 'table plain' : 'table'} role="table" aria-label={label}>
        {/* biome-ignore lint/a11y/noRedundantRoles: as above */}
        <thead role="rowgroup">
          {/* biome-ignore lint/a11y/noRedundantRoles: as above */}
          <tr role="row">
            {columns.map(({ head, kind }) => (
              // biome-ignore lint/a11y/noRedundantRoles: as above
              <th key={head} scope="col" role="columnheader" class={kind}>
                {kind === 'act' ? <span class="hidden">{head}</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        {/* biome-ignore lint/a11y/noRedundantRoles: as above */}
        <tbody role="rowgroup">
          {rows.map((row) => (
            // biome-ignore lint/a11y/noRedundantRoles: as above
            <tr key={keyOf(row)} role="row" data-chosen={chosen?.(row)}>
              {columns.map(({ head, kind, cell }) => (
                // biome-ignore lint/a11y/noRedundantRoles: as above
                <td key={head} role="cell" class={kind} data-label={kind === 'act' ? '' : head}>
                  <div>{cell(row)}</div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
