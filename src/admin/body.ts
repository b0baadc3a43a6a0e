import { Refused } from './problem.ts'

const MOST_BYTES = 262_144

/**
 * The JSON body of a request; undefined where there is none. A form that a page elsewhere posts has
 * another content type, and so does not get past this.
 * @throws Refused: 400, 413, 415
 */
export async function readBody(request: Request): Promise<unknown> {
  const text = await readText(request)
  if (text === '') return undefined
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new Refused(415, 'A body here is application/json.')
  try {
    return JSON.parse(text)
  } catch {
    throw new Refused(400, 'The body is no JSON.')
  }
}

async function readText(request: Request): Promise<string> {
  if (request.body === null) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks).toString()
    size += value.length
    if (size > MOST_BYTES) {
      await reader.cancel()
      throw new Refused(413, `A body here has at most ${MOST_BYTES} bytes.`)
    }
    chunks.push(value)
  }
}

/** An object with these names and no others. @throws Refused (400) */
export function fieldsOf(body: unknown, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Refused(400, `The body is an object with ${names.join(', ')}.`)
  }
  for (const name of Object.keys(body)) {
    if (!names.includes(name)) throw new Refused(400, `The body takes only ${names.join(', ')}.`)
  }
  return body as Readonly<Record<string, unknown>>
}
