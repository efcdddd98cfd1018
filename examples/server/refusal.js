// What a client is told when its request is not done.

import { MagnetsError } from 'magnets';

/** A refusal with its HTTP status. */
export class Refusal extends Error {
  /** What Fastify answers with. */
  statusCode;

  /**
   * @param {number} statusCode
   * @param {string} message
   */
  constructor(statusCode, message) {
    super(message);
    this.statusCode = statusCode;
  }
}

/**
 * The status of an error. A wrong argument is the client's mistake, in the library's words; so are Fastify's own errors,
 * such as a body that is no JSON.
 * @param {unknown} error
 * @returns {number}
 */
export function statusOf(error) {
  if (error instanceof Error && 'statusCode' in error) return Number(error.statusCode);
  if (!(error instanceof MagnetsError)) return 500;
  if (error.code === 'ERR_BUSY') return 429;
  return error.code === 'ERR_OUT_OF_MEMORY' ? 503 : 500;
}

/**
 * Runs what checks a request: a wrong argument that it throws is the client's mistake.
 * @template T
 * @param {() => T} check
 * @returns {T}
 */
export function checked(check) {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw Object.assign(error, { statusCode: 400 });
    }
    throw error;
  }
}

/**
 * A value of a client's as messages show it: JSON, cut where it is long.
 * @param {unknown} value
 */
export function quote(value) {
  try {
    const text = JSON.stringify(value) ?? String(value);
    return text.length > 80 ? `${text.slice(0, 77)}...` : text;
  } catch {
    return 'lists within lists'; // more of them than JSON.stringify can go into
  }
}

/**
 * The options that a client sends, as an object.
 * @param {import('fastify').FastifyRequest} request
 * @param {readonly string[]} ours options that the server sets itself
 * @returns {Record<string, unknown>}
 */
export function bodyOf({ body }, ours) {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Refusal(400, `Expected an object for body but received ${quote(body)}`);
  }
  const set = ours.find((name) => Object.hasOwn(body, name));
  if (set === undefined) return { ...body };
  throw new Refusal(400, `Expected options without ${ours.join(', ')} but received "${set}"`);
}

/**
 * The body of an error in the form of OpenAI's API, which its clients show as they show OpenAI's.
 * @param {unknown} error
 */
export function errorBody(error) {
  const status = statusOf(error);
  const message = status === 500 ? 'the server failed' : /** @type {Error} */ (error).message;
  const [, param = null] = /\bfor (\w+) but received/.exec(message) ?? [];
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  const code = error instanceof MagnetsError ? error.code : null;
  return { error: { message, type, param, code } };
}
