// POST /v1/images/generations: OpenAI's Images API. The prompt is a label; `seed`, `steps`, `schedule` and the other
// options of model.generate may stand beside OpenAI's.

import { clientOf, findModel, runJob } from './job.js';
import { dataUrl, filesOf } from './pictures.js';
import { bodyOf, checked, quote } from './refusal.js';

/** A larger picture than this would only repeat its pixels more often. */
const largestSide = 1024;

/** What OpenAI's clients may send and what means nothing here. */
const ignored = ['user', 'quality', 'style', 'background', 'moderation', 'output_compression'];

/**
 * @param {import('fastify').FastifyInstance} app
 * @param {import('./job.js').Service} service
 */
export function addImages(app, service) {
  app.post('/v1/images/generations', async (request, reply) => {
    const body = bodyOf(request, ['labels', 'count', 'signal']); // the first two are prompt and n
    const { model: name, prompt, n, size, response_format: format, output_format, ...rest } = body;
    const model = findModel(service, name);
    for (const key of ignored) delete rest[key];
    const { scale, text } = checked(() => {
      oneOf('response_format', format ?? 'url', ['url', 'b64_json']);
      oneOf('output_format', output_format ?? 'png', ['png']);
      return scaleOf(model, size ?? 'auto');
    });
    const labels = [labelOf(model, prompt)];
    const options = { ...rest, labels, count: /** @type {number} */ (n ?? 1) };
    const result = await runJob(service, model, options, clientOf(reply), (generation) =>
      generation.result(),
    );
    return {
      created: Math.floor(Date.now() / 1000),
      size: text,
      output_format: 'png',
      data: filesOf(result.pixels, scale).map((file) =>
        format === 'b64_json' ? { b64_json: file.toString('base64') } : { url: dataUrl(file) },
      ),
    };
  });
}

/**
 * A prompt is a label's name or its number; `none` is no class.
 * @param {import('magnets').Model} model
 * @param {unknown} prompt
 */
function labelOf({ config }, prompt) {
  if (prompt === 'none') return null;
  const isNumber = typeof prompt === 'string' && /^\d+$/.test(prompt);
  const isName = config.classLabels.includes(/** @type {string} */ (prompt));
  return isNumber && !isName ? Number(prompt) : /** @type {string} */ (prompt);
}

/**
 * How often the model's pixels are repeated for pictures of this size.
 * @param {import('magnets').Model} model
 * @param {unknown} size
 */
function scaleOf({ tokenizerConfig }, size) {
  const [, height = 1, width = 1] = tokenizerConfig?.sampleShape ?? [];
  const most = Math.min(64, Math.floor(largestSide / Math.max(height, width)));
  for (let scale = 1; scale <= most; ++scale) {
    const text = `${width * scale}x${height * scale}`;
    if (size === text || size === 'auto') return { scale, text };
  }
  const sizes = `auto or a multiple of ${width}x${height}, up to ${most} times it,`;
  throw new RangeError(`Expected ${sizes} for size but received ${quote(size)}`);
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {string[]} choices
 */
function oneOf(name, value, choices) {
  if (choices.includes(/** @type {string} */ (value))) return;
  const expected = `one of ${choices.join(', ')}`;
  throw new RangeError(`Expected ${expected} for ${name} but received ${quote(value)}`);
}
