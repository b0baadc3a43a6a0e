/**
 * What Holdfast asks of a logger; winston and `console` fit, pino by `pinoLogger` of `holdfast/observe`.
 * Fields never hold values or full keys.
 */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}
