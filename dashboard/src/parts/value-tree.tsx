import { useState } from 'preact/hooks'

const FIRST = 100
const LONGEST = 20_000

/** A value as what it is: text as text, objects to fold out. Long ones are cut, and say so. */
export function ValueTree({ value }: { readonly value: unknown }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so a keyboard must reach it
    <section class="value" tabIndex={0} aria-label="Value">
      <Node value={value} depth={0} />
    </section>
  )
}

function Node({ value, depth }: { readonly value: unknown; readonly depth: number }) {
  if (typeof value === 'string') return <Text text={value} quoted={depth > 0} />
  if (typeof value !== 'object' || value === null) return <span>{String(value)}</span>
  const entries = Object.entries(value)
  const isList = Array.isArray(value)
  if (entries.length === 0) return <span class="empty">{isList ? '[] empty' : '{} empty'}</span>
  return <Fold entries={entries} isList={isList} depth={depth} />
}

interface FoldProps {
  readonly entries: readonly (readonly [string, unknown])[]
  readonly isList: boolean
  readonly depth: number
}

function Fold({ entries, isList, depth }: FoldProps) {
  const [shown, setShown] = useState(FIRST)
  const rest = entries.length - shown
  return (
    <details open={depth < 2}>
      <summary>
        {isList
          ? `list of ${entries.length}`
          : `object, ${entries.length} ${entries.length === 1 ? 'field' : 'fields'}`}
      </summary>
      {entries.slice(0, shown).map(([name, item]) => (
        <div key={name}>
          <span class="name">{name}</span>: <Node value={item} depth={depth + 1} />
        </div>
      ))}
      {rest > 0 && (
        <div>
          <button type="button" class="link" onClick={() => setShown(shown + FIRST * 5)}>
            {rest} more
          </button>
        </div>
      )}
    </details>
  )
}

function Text({ text, quoted }: { readonly text: string; readonly quoted: boolean }) {
  const cut = text.length > LONGEST
  const seen = cut ? text.slice(0, LONGEST) : text
  if (quoted) return <span class="wrap">{`"${seen}${cut ? '…' : ''}"`}</span>
  return (
    <pre>
      {seen}
      {cut && <em>{`\n… ${text.length - LONGEST} characters more`}</em>}
    </pre>
  )
}
