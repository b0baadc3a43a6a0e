import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

/** Beside the built `admin/`, and where the sources are run from. */
const PLACES = ['../dashboard/', '../../dist/dashboard/'].map((place) =>
  fileURLToPath(new URL(place, import.meta.url)),
)

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Nothing from elsewhere, nothing inline, nobody's frame: what the page shows is data of others. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const SAFETY: Readonly<Record<string, string>> = {
  'Content-Security-Policy': POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}

const NOT_BUILT =
  'The dashboard is not built here. In a checkout run: npm run build. The API below api/v1/ works without it.\n'

interface Asset {
  readonly body: Buffer
  readonly packed: Buffer
  readonly type: string
  readonly etag: string
  /** Its name holds a hash of its content, so it never changes. */
  readonly hashed: boolean
}

type Assets = ReadonlyMap<string, Asset>

/**
 * The dashboard's files, read once and held in memory (about 200 KB). They are the same for
 * everybody and hold no secret, so nobody has to say who he is to get them.
 */
export class StaticFiles {
  readonly #places: readonly string[]
  #assets: Promise<Assets> | undefined

  /** @param directory where the built page stands. @default the one of this package */
  constructor(directory?: string) {
    this.#places = directory === undefined ? PLACES : [directory]
  }

  /** @param path below the base path, with its slash; '' for the base path itself */
  async answer(request: Request, path: string): Promise<Response> {
    if (path === '') return toSlash(new URL(request.url))
    this.#assets ??= load(this.#places)
    const assets = await this.#assets
    if (assets.size === 0) {
      // It may be built while this process runs: look again next time.
      this.#assets = undefined
      return text(request, NOT_BUILT)
    }
    const asset = assets.get(path === '/' ? '/index.html' : path)
    return asset === undefined ? text(request, 'There is nothing at this path.\n') : send(request, asset)
  }
}

/** The page's addresses are relative, so it must stand below a slash, whatever a proxy put before. */
function toSlash(url: URL): Response {
  const last = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  return new Response(null, { status: 308, headers: { ...SAFETY, Location: `${last}/${url.search}` } })
}

function send(request: Request, asset: Asset): Response {
  const packed = /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
  // Two encodings are two representations: each has a tag of its own.
  const etag = packed ? `"${asset.etag}-gzip"` : `"${asset.etag}"`
  const headers = new Headers({
    ...SAFETY,
    'Content-Type': asset.type,
    'Cache-Control': asset.hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    ETag: etag,
    Vary: 'Accept-Encoding',
  })
  const known = request.headers.get('if-none-match')?.split(',') ?? []
  if (known.some((tag) => tag.trim().replace(/^W\//, '') === etag)) {
    return new Response(null, { status: 304, headers })
  }
  const body = packed ? asset.packed : asset.body
  if (packed) headers.set('Content-Encoding', 'gzip')
  headers.set('Content-Length', String(body.length))
  return new Response(request.method === 'HEAD' ? null : new Uint8Array(body), { headers })
}

function text(request: Request, detail: string): Response {
  const headers = { ...SAFETY, 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }
  return new Response(request.method === 'HEAD' ? null : detail, { status: 404, headers })
}

async function load(places: readonly string[]): Promise<Assets> {
  for (const place of places) {
    const names = await readdir(place, { recursive: true }).catch(() => [])
    const files = names.filter((name) => TYPES[extname(name)] !== undefined)
    if (!files.includes('index.html')) continue
    const pairs = files.map(async (name) => {
      const path = `/${name.replaceAll('\\', '/')}`
      return [path, await readAsset(join(place, name), path)] as const
    })
    return new Map(await Promise.all(pairs))
  }
  return new Map()
}

async function readAsset(file: string, path: string): Promise<Asset> {
  const body = await readFile(file)
  return {
    body,
    packed: await promisify(gzip)(body),
    type: TYPES[extname(file)]!,
    etag: createHash('sha256').update(body).digest('base64url').slice(0, 22),
    hashed: path.startsWith('/assets/'),
  }
}
