/**
 * `GET /api/v1/overview` and the event `overview` of the stream: the last minute. `GET /api/v1/history`:
 * the last hour.
 */
export type { History, HistorySeries, Overview } from '../../observe/rolling-shapes.ts'
