import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { paint } from '../api/theme.ts'
import { clockTime } from '../parts/format.ts'

export interface Line {
  readonly name: string
  /** Which of the four colours. */
  readonly colour: 1 | 2 | 3 | 4
  readonly values: readonly (number | null)[]
}

interface LineChartProps {
  readonly title: string
  /** ms since 1970, one per value. */
  readonly at: readonly number[]
  readonly lines: readonly Line[]
  readonly format: (value: number) => string
  readonly marks?: keyof typeof MARKS | undefined
}

const HEIGHT = 180
/** The shortest stretch of time: less would be a line without a context. */
const LEAST_SECONDS = 300
/** Marks of axes, by what is counted: bytes in powers of two, things in whole numbers. */
const MARKS = {
  bytes: Array.from({ length: 50 }, (_, power) => 2 ** power),
  things: Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat(),
} as const

/** Lines over the last hour. The legend says the last values, or those under the pointer; readers get a summary. */
export function LineChart({ title, at, lines, format, marks }: LineChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const shape = lines.map(({ name, colour }) => `${name} ${colour}`).join()
  const painted = paint.value
  const [pointed, setPointed] = useState<number | null>(null)
  const data: uPlot.AlignedData = [at.map((ms) => ms / 1_000), ...lines.map(({ values }) => [...values])]
  const drawn = useRef(data)
  drawn.current = data

  useEffect(() => {
    const host = box.current
    if (host === null) return
    const width = () => Math.max(120, host.clientWidth)
    const plot = new uPlot(optionsFor(host, width(), lines, format, marks, setPointed), drawn.current, host)
    chart.current = plot
    const watcher = new ResizeObserver(() => {
      if (plot.width !== width()) plot.setSize({ width: width(), height: HEIGHT })
    })
    watcher.observe(host)
    return () => {
      watcher.disconnect()
      plot.destroy()
      chart.current = null
    }
    // Colours and names make a new chart; new values are handed to the one that is there, below.
  }, [shape, painted])

  useEffect(() => {
    chart.current?.setData(drawn.current)
  }, [at])

  return (
    <figure class="chart" aria-label={`${title}. ${summary(lines, format)}`}>
      <div ref={box} class="chart-box" aria-hidden="true" />
      <ul class="legend">
        {lines.map(({ name, colour, values }) => (
          <li key={name}>
            <span class={`swatch series-${colour}`} aria-hidden="true" />
            {name} <b>{formatted(pointed === null ? lastOf(values) : values[pointed], format)}</b>
          </li>
        ))}
        <li>{pointed !== null && at[pointed] !== undefined ? `at ${clockTime(at[pointed])}` : ''}</li>
      </ul>
    </figure>
  )
}

function summary(lines: readonly Line[], format: (value: number) => string): string {
  return lines
    .map(({ name, values }) => {
      const seen = values.filter((value): value is number => value !== null)
      if (seen.length === 0) return `${name}: nothing seen.`
      return `${name}: now ${formatted(lastOf(values), format)}, highest ${format(Math.max(...seen))}.`
    })
    .join(' ')
}

function lastOf(values: readonly (number | null)[]): number | null {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return values[i] ?? null
  return null
}

const formatted = (value: number | null | undefined, format: (value: number) => string): string =>
  value === null || value === undefined ? '–' : format(value)

/** A canvas knows no custom properties: an element is asked what they come to just now. */
function colourOf(host: HTMLElement, name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${name})`
  host.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

function optionsFor(
  host: HTMLElement,
  width: number,
  lines: readonly Line[],
  format: (value: number) => string,
  marks: keyof typeof MARKS | undefined,
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const grid = { stroke: colourOf(host, '--line'), width: 1 }
  const font = `12px ${getComputedStyle(host).fontFamily}`
  const axis = { stroke: colourOf(host, '--muted'), grid, ticks: { show: false }, font }
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
    padding: [10, 20, 0, 0],
    scales: {
      x: { range: (_, least, most) => [Math.min(least, most - LEAST_SECONDS), most] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] },
    },
    axes: [
      { ...axis, size: 26, space: 70, values: '{HH}:{mm}' },
      {
        ...axis,
        size: 66,
        space: 36,
        values: (_, splits) => splits.map(format),
        ...(marks && { incrs: [...MARKS[marks]] }),
      },
    ],
    series: [
      {},
      ...lines.map(({ name, colour }) => ({
        label: name,
        stroke: colourOf(host, `--series-${colour}`),
        width: 1.75,
        points: { size: 4 },
        spanGaps: false,
      })),
    ],
  }
}
