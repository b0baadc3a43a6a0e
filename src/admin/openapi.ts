import { EDITIONS } from './permissions.ts'
import type { Route } from './route.ts'

const PROBLEM = { $ref: '#/components/responses/Problem' }
const FLAGS = new Set(['dryRun', 'reveal', 'soft'])
const COUNTS = new Set(['limit', 'top', 'seconds'])
const JSON_TYPE = 'application/json'

/** The document that describes the routes: OpenAPI 3.1, made from the table that is served. */
export function openApi(routes: readonly Route[], basePath: string, version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast administration',
      version,
      description:
        'Sees into caches, limits, locks, sessions, tokens and queues, and clears one thing safely.',
    },
    servers: [{ url: basePath === '' ? '/' : basePath }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      responses: {
        Problem: {
          description: 'RFC 9457 problem details.',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      schemas: {
        Problem: {
          type: 'object',
          required: ['title', 'status', 'detail'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            detail: { type: 'string' },
          },
        },
      },
    },
  }
}

function operationOf(route: Route): object {
  const { method, path, permission, summary, query = {}, body, answers = 'object', tenants = false } = route
  const editions = Object.entries(EDITIONS)
    .filter(([, granted]) => (granted as readonly string[]).includes(permission))
    .map(([edition]) => edition)
  const named = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const asked = Object.entries(query).map(([name, description]) => ({
    name,
    in: 'query',
    required: false,
    description,
    schema: FLAGS.has(name)
      ? { type: 'boolean' }
      : COUNTS.has(name)
        ? { type: 'integer', minimum: 1 }
        : { type: 'string' },
  }))
  return {
    operationId: idOf(route),
    summary,
    description: `Needs ${permission} (${editions.join(', ')}).${tenants ? '' : ' Not for tenants.'}`,
    tags: [path.split('/')[3]],
    parameters: [...named, ...asked],
    ...(body === undefined || Object.keys(body).length === 0 ? {} : { requestBody: bodyOf(body) }),
    responses: { 200: answerOf(answers), ...problemsOf(method, named.length > 0) },
  }
}

function idOf({ method, path }: Route): string {
  const words = path
    .replace('/api/v1/', '')
    .split(/[^\w]+/)
    .filter(Boolean)
  return method.toLowerCase() + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
}

function bodyOf(body: Readonly<Record<string, string>>): object {
  const properties = Object.entries(body).map(([name, description]) => [name, { description }] as const)
  const schema = { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) }
  return { required: true, content: { [JSON_TYPE]: { schema } } }
}

function answerOf(answers: NonNullable<Route['answers']>): object {
  if (answers === 'stream') {
    return { description: 'Events.', content: { 'text/event-stream': { schema: { type: 'string' } } } }
  }
  return { description: 'What was asked for.', content: { [JSON_TYPE]: { schema: { type: answers } } } }
}

function problemsOf(method: Route['method'], isNamed: boolean): Record<string, object> {
  const statuses = ['400', '401', '403', ...(isNamed ? ['404'] : []), '429', '503']
  if (method === 'POST') statuses.push('413', '415')
  return Object.fromEntries(statuses.map((status) => [status, PROBLEM]))
}
