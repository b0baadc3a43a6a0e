import { useEffect, useState } from 'preact/hooks'
import type { CacheKeys } from '../../../src/admin/answers/cache.ts'
import { go, hrefOf, place } from '../api/place.ts'
import { useResource } from '../api/resource.ts'
import { Field } from '../parts/field.tsx'
import { count, plural } from '../parts/format.ts'
import { Pager, useCursor } from '../parts/pages.tsx'
import { Empty, Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card, View } from '../parts/view.tsx'
import { KeyDetail } from './key-detail.tsx'

const PAGE = 50

/** One page of keys at a time, however many there are. */
export function Keys() {
  const { query } = place.value
  const pattern = query.get('pattern') ?? '*'
  const key = query.get('key') ?? undefined
  const at = useCursor()
  const { restart } = at
  useEffect(restart, [pattern])
  const found = useResource<CacheKeys>('cache/keys', {
    query: { pattern, limit: PAGE, cursor: at.cursor },
    onward: ({ keys, cursor }) => (keys.length === 0 ? cursor : null),
    keep: true,
  })
  return (
    <View
      title="Keys"
      about="Entries of the cache by name, a page at a time. Looking counts neither as a hit nor as a miss."
    >
      <Search pattern={pattern} />
      <div class="split" data-open={key !== undefined}>
        {key !== undefined && (
          <KeyDetail
            key={key}
            name={key}
            close={() => go('keys', { pattern })}
            gone={() => {
              go('keys', { pattern })
              found.reload()
            }}
          />
        )}
        <Card
          title="Keys found"
          actions={
            <button type="button" class="button" data-size="small" onClick={found.reload}>
              Reload
            </button>
          }
        >
          <Shown of={found} what="keys" lines={10}>
            {(data) => <Page data={data} pattern={pattern} chosen={key} at={at} />}
          </Shown>
        </Card>
      </div>
    </View>
  )
}

function Search({ pattern }: { readonly pattern: string }) {
  const [text, setText] = useState(pattern)
  useEffect(() => setText(pattern), [pattern])
  return (
    <search>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault()
          go('keys', { pattern: text.trim() || '*' })
        }}
      >
        <Field
          label="Pattern"
          type="search"
          value={text}
          onInput={setText}
          hint="* any text, ? one character, [a-z] one of; | stands between namespace and key"
          grow
          mono
        />
        <button type="submit" class="button" data-kind="primary">
          Search
        </button>
      </form>
    </search>
  )
}

interface PageProps {
  readonly data: CacheKeys
  readonly pattern: string
  readonly chosen: string | undefined
  readonly at: ReturnType<typeof useCursor>
}

function Page({ data, pattern, chosen, at }: PageProps) {
  const found = `${data.truncated ? 'at least ' : ''}${plural(data.total_found, 'key')} from here on`
  if (data.keys.length === 0 && at.page === 1 && data.cursor === null) {
    return (
      <Empty title="No key matches">
        The pattern must fit the whole name: try <code>*{pattern.replaceAll('*', '')}*</code>.
      </Empty>
    )
  }
  return (
    <>
      <Table
        label="Keys"
        rows={data.keys}
        keyOf={(name) => name}
        chosen={(name) => name === chosen}
        columns={[
          {
            head: 'Key',
            cell: (name) => (
              <a class="link mono" href={hrefOf('keys', { pattern, key: name })}>
                {name}
              </a>
            ),
          },
        ]}
      />
      <Pager at={at} next={data.cursor} note={`Page ${count(at.page)}, ${found}`} />
    </>
  )
}
