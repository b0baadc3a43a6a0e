import { Command } from 'commander'
import { createRolling } from '../observe/rolling.ts'
import { type Frame, frameOf, lookAt } from './frame.ts'
import type { Io } from './io.ts'
import type { Printer } from './print.ts'
import { type Common, type Session, whole, withCommon, withSession } from './session.ts'
import { table } from './table.ts'

interface TopFlags extends Common {
  readonly interval: number
  readonly count?: number
}

/** Another screen, and no cursor in it; what was there before comes back at the end. */
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const REST_OF_LINE = '\u001b[K'
const REST_OF_SCREEN = '\u001b[J'

export function topCommand(io: Io): Command {
  return withCommon(new Command('top'))
    .description(
      'live: operations, hits, memory, commands, and what the processes share. Ctrl-C or q ends it',
    )
    .option('--interval <ms>', 'between two frames', whole(100, 3_600_000), 1_000)
    .option('--count <number>', 'end after so many frames', whole(1, 1_000_000))
    .addHelpText(
      'after',
      '\nOn a terminal it redraws one screen; in a pipe each frame follows the last; --json writes one line a frame.',
    )
    .action((flags: TopFlags) => withSession(io, flags, (session) => top(session, flags)))
}

async function top(
  session: Session,
  { interval, count = Number.POSITIVE_INFINITY }: TopFlags,
): Promise<void> {
  const { hf, io, isJson, print, config } = session
  const live = io.stdout.isTTY === true && !isJson
  await using rolling = disposable(createRolling(hf, { watch: true, latency: false }))
  const keyboard = live ? listen(io.signal) : { quit: io.signal, release: () => {} }
  if (live) io.stdout.write(ENTER)
  try {
    let before = await lookAt(session)
    for (let shown = 0; shown < count; shown++) {
      if (!(await pause(interval, keyboard.quit))) return
      const now = await lookAt(session)
      const frame = frameOf(before, now, rolling.overview())
      before = now
      if (isJson) {
        io.stdout.write(`${JSON.stringify(frame)}\n`)
        continue
      }
      const lines = linesOf(frame, config.target, print)
      if (live) io.stdout.write(screen(lines, io))
      else for (const line of [...lines, '']) print.line(line)
    }
  } finally {
    keyboard.release()
    if (live) io.stdout.write(LEAVE)
  }
}

function screen(lines: readonly string[], { stdout }: Io): string {
  const fit = lines.slice(0, Math.max(1, (stdout.rows || 24) - 1))
  return `${HOME}${fit.map((line) => `${line}${REST_OF_LINE}\r\n`).join('')}${REST_OF_SCREEN}`
}

function linesOf(frame: Frame, target: string, out: Printer): string[] {
  const asked = frame.hitsPerSecond + frame.missesPerSecond
  const lines = [
    `${out.bold('holdfast top')}  ${target}  Redis ${frame.version}, up ${duration(frame.uptimeSeconds)}  ${frame.at}`,
    '',
    `  operations  ${frame.opsPerSecond}/s        ping  ${frame.pingMs} ms`,
    `  look-ups    ${frame.hitsPerSecond} hits/s, ${frame.missesPerSecond} misses/s${asked > 0 ? `, ${Math.round((frame.hitsPerSecond / asked) * 100)} % of the whole server` : ''}`,
    `  memory      ${size(frame.usedMemory)}${frame.maxMemory > 0 ? ` of ${size(frame.maxMemory)} ${meter(frame.usedMemory / frame.maxMemory, out)}` : ', no limit'}`,
    `  keys        ${frame.keys}        evicted ${frame.evictedPerSecond}/s, expired ${frame.expiredPerSecond}/s`,
    `  clients     ${frame.clients}, ${frame.blockedClients} blocked`,
    '',
    ...table(frame.commands, [
      { title: '  COMMAND', of: (row) => `  ${row.command}` },
      { title: 'PER SECOND', of: (row) => row.perSecond, right: true },
      { title: 'AVERAGE US', of: (row) => row.averageUs, right: true },
    ]),
  ]
  return frame.application ? [...lines, '', ...applicationLines(frame.application)] : lines
}

function applicationLines({
  cache,
  limits,
  locks,
  queues,
  namespaces,
  processes,
}: NonNullable<Frame['application']>) {
  return [
    `  ${processes} processes, the last minute`,
    `  cache       ${cache.hitRate === null ? 'not asked' : `${cache.hitRate} % hits`}, ${cache.stampedesPrevented} stampedes prevented, ${cache.staleServed} stale served, ${cache.loads} loads`,
    `  limits      ${limits.allowed} allowed, ${limits.denied} denied     locks  ${locks.held} held, ${locks.lost} lost`,
    `  queues      ${queues.waiting} waiting, the oldest ${queues.oldestSeconds} s, ${queues.failed} dead letters`,
    ...(namespaces.length === 0
      ? []
      : [
          '',
          ...table(namespaces.slice(0, 8), [
            { title: '  NAMESPACE', of: (row) => `  ${row.namespace}` },
            { title: 'HITS', of: (row) => row.hits, right: true },
            { title: 'MISSES', of: (row) => row.misses, right: true },
            { title: 'RATE', of: (row) => (row.hitRate === null ? '' : `${row.hitRate} %`), right: true },
          ]),
        ]),
  ]
}

const METER = 20

function meter(share: number, out: Printer): string {
  const full = Math.round(Math.min(1, share) * METER)
  const text = `[${'#'.repeat(full)}${'.'.repeat(METER - full)}] ${Math.round(share * 100)} %`
  return share >= 0.9 ? out.red(text) : share >= 0.8 ? out.yellow(text) : out.green(text)
}

function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor((seconds % 86_400) / 3_600)
  if (days > 0) return `${days} d ${hours} h`
  return hours > 0
    ? `${hours} h ${Math.floor((seconds % 3_600) / 60)} min`
    : `${Math.floor(seconds / 60)} min`
}

function size(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const unit = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  return `${Math.round((bytes / 1_024 ** unit) * 10) / 10} ${units[unit]}`
}

/** Resolves true after `ms`, false when it shall end. */
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    const timer = setTimeout(() => resolve(true), ms)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve(false)
      },
      { once: true },
    )
  })
}

/** `quit` is aborted by q, by Ctrl-C as a key (a terminal in raw mode sends no signal), and by the signal. */
function listen(signal: AbortSignal): { quit: AbortSignal; release(): void } {
  const { stdin } = process
  if (!stdin.isTTY) return { quit: signal, release: () => {} }
  const controller = new AbortController()
  const end = (): void => controller.abort()
  const onKey = (key: Buffer): void => {
    const typed = String(key)
    if (typed.includes('q') || typed.includes('\u0003')) end()
  }
  stdin.setRawMode(true)
  stdin.on('data', onKey)
  signal.addEventListener('abort', end, { once: true })
  const release = (): void => {
    stdin.off('data', onKey)
    stdin.setRawMode(false)
    stdin.pause()
  }
  return { quit: controller.signal, release }
}

const disposable = (rolling: ReturnType<typeof createRolling>) =>
  Object.assign(rolling, { [Symbol.asyncDispose]: () => rolling.close() })
