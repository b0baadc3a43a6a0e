import type { Io, Output } from './io.ts'

/** What a command prints with: plain text, or coloured on a terminal that wants colour. */
export interface Printer {
  line(text?: string): void
  bold(text: string): string
  dim(text: string): string
  green(text: string): string
  red(text: string): string
  yellow(text: string): string
}

/** Honours NO_COLOR (no-color.org) and FORCE_COLOR; pipes get plain text. */
export function createPrinter(stream: Output = process.stdout, env: Io['env'] = process.env): Printer {
  const colour = !env.NO_COLOR && (Boolean(env.FORCE_COLOR) || stream.isTTY === true)
  const paint = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  return {
    line: (text = '') => void stream.write(`${text}\n`),
    bold: paint(1),
    dim: paint(2),
    green: paint(32),
    red: paint(31),
    yellow: paint(33),
  }
}
