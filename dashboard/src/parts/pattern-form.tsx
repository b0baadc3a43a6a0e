import { useState } from 'preact/hooks'
import { Field } from './field.tsx'

interface PatternFormProps {
  readonly pattern: string
  readonly search: (pattern: string) => void
}

/** Names by glob; empty means all. */
export function PatternForm({ pattern, search }: PatternFormProps) {
  const [text, setText] = useState(pattern)
  return (
    <search>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault()
          search(text.trim() || '*')
        }}
      >
        <Field label="Pattern" type="search" value={text} onInput={setText} grow mono />
        <button type="submit" class="button">
          Search
        </button>
      </form>
    </search>
  )
}
