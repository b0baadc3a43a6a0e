/**
 * Google's token endpoint, as far as a server with a refresh token uses it: `POST /token`. Tokens are
 * signed, so that every simulated Google API knows them, and live for `life` seconds.
 *
 *   POST /__sim/expire-tokens     from now on this API refuses every token that was issued before
 */
import { createHmac } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'

export const GOOGLE_CLIENT = {
  clientId: 'dashboard.apps.googleusercontent.com',
  clientSecret: 'GOCSPX-simulated-client-secret',
  refreshToken: '1//simulated-refresh-token',
}

const sign = (text: string) => createHmac('sha256', 'simulated google').update(text).digest('base64url')
/** Fine enough to tell what came first. */
const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1_000)
let issued = 0

export class GoogleOAuth {
  #goodFrom = 0

  /** Adds the endpoint to an API. `life`: of tokens, in seconds. */
  mount(app: FastifyInstance, life: number): void {
    const asText = { parseAs: 'string' } as const
    app.addContentTypeParser('application/x-www-form-urlencoded', asText, (_request, body, done) =>
      done(null, new URLSearchParams(String(body))),
    )
    app.post<{ Body: URLSearchParams | undefined }>('/token', ({ body: form }, reply) => {
      const no = (status: number, error: string, error_description: string) =>
        reply.code(status).send({ error, error_description })
      const { clientId, clientSecret, refreshToken } = GOOGLE_CLIENT
      if (form?.get('client_id') !== clientId || form.get('client_secret') !== clientSecret) {
        return no(401, 'invalid_client', 'The OAuth client was not found.')
      }
      if (form.get('grant_type') !== 'refresh_token') {
        return no(400, 'unsupported_grant_type', 'Invalid grant_type')
      }
      if (form.get('refresh_token') !== refreshToken) {
        return no(400, 'invalid_grant', 'Token has been expired or revoked.')
      }
      const said = `${nowUs()}.${life}.${++issued}`
      return reply.send({
        access_token: `ya29.${said}.${sign(said)}`,
        expires_in: life,
        scope: 'https://www.googleapis.com/auth/adwords https://www.googleapis.com/auth/analytics.readonly',
        token_type: 'Bearer',
      })
    })
    app.post('/__sim/expire-tokens', (_request, reply) => {
      this.#goodFrom = nowUs()
      reply.code(204).send()
    })
  }

  admits(request: FastifyRequest): boolean {
    const [, said = '', signature] =
      /^Bearer ya29\.(\d+\.\d+\.\d+)\.(.+)$/.exec(request.headers.authorization ?? '') ?? []
    const [at = 0, life = 0] = said.split('.').map(Number)
    return signature === sign(said) && at > this.#goodFrom && at + life * 1e6 > nowUs()
  }
}

/** What Google's APIs answer to a token that is missing, wrong or expired. */
export const UNAUTHENTICATED = {
  body: {
    error: {
      code: 401,
      message:
        'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
      status: 'UNAUTHENTICATED',
    },
  },
  headers: { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error="invalid_token"' },
}
