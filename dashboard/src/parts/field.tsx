import type { TargetedEvent } from 'preact'
import { useId } from 'preact/hooks'

interface FieldProps {
  readonly label: string
  readonly value: string
  readonly onInput: (text: string) => void
  readonly hint?: string
  readonly placeholder?: string
  readonly type?: 'text' | 'search' | 'password'
  readonly grow?: boolean
  readonly mono?: boolean
}

export function Field({ label, value, onInput, hint, placeholder, type = 'text', grow, mono }: FieldProps) {
  const id = useId()
  const shared = {
    id,
    class: `input${mono ? ' mono' : ''}`,
    value,
    placeholder,
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: false,
    'aria-describedby': hint ? `${id}-hint` : undefined,
    onInput: (event: TargetedEvent<HTMLInputElement>) => onInput(event.currentTarget.value),
  } as const
  return (
    <div class={`field${grow ? ' grow' : ''}`}>
      <label for={id}>{label}</label>
      {type === 'password' && <input type="password" {...shared} />}
      {type === 'search' && <input type="search" {...shared} />}
      {type === 'text' && <input type="text" {...shared} />}
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  )
}

interface ChoiceProps<T extends string> {
  readonly label: string
  readonly value: T
  readonly options: readonly (readonly [value: T, text: string])[]
  readonly onChange: (value: T) => void
}

export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        class="input"
        value={value}
        onChange={(event) => {
          const chosen = options.find(([name]) => name === event.currentTarget.value)
          if (chosen) onChange(chosen[0])
        }}
      >
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}
