import type { History } from '../../../src/admin/answers/overview.ts'
import { overview, overviewRefusal } from '../api/live.ts'
import { useResource } from '../api/resource.ts'
import { type Line, LineChart } from '../charts/line-chart.tsx'
import { bytes, count, latency } from '../parts/format.ts'
import { Loading, Refused, Shown } from '../parts/state.tsx'
import { Card, View } from '../parts/view.tsx'
import { Lately } from './lately.tsx'
import { Condition } from './overview-condition.tsx'
import { CacheFigures, SharedFigures } from './overview-figures.tsx'

/** Whether the layer is well, in ten seconds: the last minute as figures, the last hour as lines. */
export function OverviewPage() {
  return (
    <View title="Overview" about="The last minute as this process saw it, and the hour before it.">
      <Now />
      <LastHour />
    </View>
  )
}

function Now() {
  const seen = overview.value
  if (seen === undefined) {
    const refusal = overviewRefusal.value
    return refusal ? <Refused refusal={refusal} /> : <Loading what="the overview" lines={9} />
  }
  return (
    <>
      <Condition seen={seen} />
      <CacheFigures seen={seen} />
      <SharedFigures seen={seen} />
    </>
  )
}

type Format = (value: number) => string
const EVERY_MS = 10_000
const MARKS = new Map<Format, 'bytes' | 'things'>([
  [bytes, 'bytes'],
  [count, 'things'],
])

function LastHour() {
  const history = useResource<History>('history', { query: { seconds: 3_600 }, everyMs: EVERY_MS })
  // The refusal of the figures above says it already.
  if (history.data === undefined && history.refusal?.status === 403) return null
  return (
    <Shown of={history} what="the last hour" lines={12}>
      {(data) => <Charts history={data} />}
    </Shown>
  )
}

function Charts({ history }: { readonly history: History }) {
  const { at, stepSeconds } = history
  // An administration that knows less draws fewer lines.
  const series: Readonly<Partial<Record<string, readonly (number | null)[]>>> = history.series
  const line = (name: string, colour: Line['colour'], values: readonly (number | null)[] | undefined) =>
    values && { name, colour, values }
  const charts: readonly (readonly [string, Format, readonly (Line | undefined)[]])[] = [
    [
      `Look-ups per ${stepSeconds} s`,
      count,
      [
        line('Hits', 1, series.hits),
        line('Misses', 2, series.misses),
        line('Stale served', 4, series.staleServed),
        line('Errors', 3, series.errors),
      ],
    ],
    [
      'Cached beside loaded, p99',
      latency,
      [line('From the cache', 1, series.opsP99Ms), line('By the loader', 2, series.loadsP99Ms)],
    ],
    ['Memory used', bytes, [line('Used', 1, series.usedMemory)]],
    ['Keys', count, [line('Keys', 1, series.keys)]],
    [
      `Limits, per ${stepSeconds} s`,
      count,
      [line('Allowed', 1, series.allowed), line('Denied', 3, series.denied)],
    ],
  ]
  return (
    <div class="columns">
      {charts.map(([title, format, lines]) => (
        <Card key={title} title={title}>
          <LineChart
            title={title}
            at={at}
            format={format}
            marks={MARKS.get(format)}
            lines={lines.filter((found): found is Line => found !== undefined)}
          />
        </Card>
      ))}
      <Lately />
    </div>
  )
}
