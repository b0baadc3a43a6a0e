import { parser } from '@prometheus-io/lezer-promql'
import { Histogram, type Registry } from 'prom-client'

/** What a query names, as the grammar of Prometheus sees it. */
export interface QueryNames {
  readonly metrics: readonly string[]
  /** Labels in selectors and groupings. */
  readonly labels: readonly string[]
}

/**
 * Parses a query by the grammar that Prometheus's own interface uses.
 * @throws Error where the query does not parse
 */
export function namesIn(query: string): QueryNames {
  const metrics: string[] = []
  const labels: string[] = []
  parser.parse(query).iterate({
    enter(node) {
      const text = query.slice(node.from, node.to)
      if (node.type.isError) throw new Error(`no PromQL at '${query.slice(node.from, node.from + 40)}'`)
      const parent = node.node.parent?.name
      if (node.name === 'Identifier' && parent === 'VectorSelector') metrics.push(text)
      if (node.name === 'LabelName') labels.push(text)
    },
  })
  return { metrics, labels }
}

/** What every series has besides its own labels. */
const TARGET_LABELS = ['job', 'instance', 'le']

/** Names and labels of a registry, with what a histogram exposes. */
export function known(register: Registry): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, readonly string[]>()
  for (const metric of register.getMetricsAsArray()) {
    // prom-client keeps the declared labels on the metric; its types leave them out.
    const labels = [...(metric as unknown as { labelNames: string[] }).labelNames, ...TARGET_LABELS]
    const isHistogram = metric instanceof Histogram
    const suffixes = isHistogram ? ['_bucket', '_sum', '_count'] : ['']
    for (const suffix of suffixes) names.set(metric.name + suffix, labels)
  }
  return names
}
