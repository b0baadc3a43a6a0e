import { ConfigError, RedisReplyError, RedisUnavailable } from '../base/errors.ts'

const NOT_REDIS = /unknown RESP type|protocol error/i
const NOT_TLS = /wrong version number|packet length too long|EPROTO/i
const CERTIFICATE = /self.signed|certificate|altname|CERT_/i
const LOGIN =
  /^(WRONGPASS|NOAUTH|NOPERM|DENIED)|invalid (username|password)|DB index|SELECT is not allowed|AUTH .*called without/i

/**
 * Why a link could not be opened. ConfigError when trying again cannot help: a wrong password, a
 * port that is not Redis. Never repeats a credential: neither servers nor sockets quote them.
 */
export function dialError(error: unknown, address: string): Error {
  if (error instanceof ConfigError) return error
  if (error instanceof RedisReplyError) {
    const answer = answerOf(error)
    if (!LOGIN.test(answer)) return new RedisUnavailable(`${address} refused the connection: ${answer}`)
    return new ConfigError(
      `${address} refused the login: ${answer}`,
      'correct the user name, the password or the database number of the Redis connection',
    )
  }
  const reason = firstReason(error)
  if (NOT_REDIS.test(reason)) {
    return new ConfigError(
      `${address} does not speak the Redis protocol`,
      'check host and port: another service answers there',
    )
  }
  if (NOT_TLS.test(reason)) {
    return new ConfigError(
      `${address} does not speak TLS`,
      'use redis:// for a plain connection, or the TLS port',
    )
  }
  if (CERTIFICATE.test(reason) || CERTIFICATE.test(codeOf(error))) {
    return new ConfigError(
      `the TLS certificate of ${address} was not accepted: ${reason}`,
      'give the certificate authority as tls.ca, and connect by the name in the certificate',
    )
  }
  return new RedisUnavailable(`no connection to ${address}: ${reason}`)
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''

/** The message of an error in one short line; of an AggregateError (several addresses) the first. */
export function firstReason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return firstReason(error.errors[0])
  if (!(error instanceof Error)) return 'unknown reason'
  return error.message.replace(/[\r\n]+/g, ' ').slice(0, 200) || codeOf(error) || error.name
}

/** A user or a server without one of the commands that proving a connection takes. */
export function needsCommand(error: unknown, address: string, rules: string): unknown {
  if (!(error instanceof RedisReplyError)) return error
  if (error.prefix !== 'NOPERM' && !/unknown command/i.test(error.message)) return error
  return new ConfigError(
    `${address} does not let us ask what it is: ${answerOf(error)}`,
    `allow these commands to the user of the connection: ${rules}`,
  )
}

/** The server's words alone, without our frame around them. */
const answerOf = (error: RedisReplyError): string =>
  error.message.replace(/^Redis answered: /, '').replace(/;[^;]*$/, '')
