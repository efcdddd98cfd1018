/** The samples of a request as they come about: what sessions begin with, what steps reveal, and what that costs. */

import type { GeneratorConfig } from '../checkpoint/config.js';
import { type FlopsByPart, totalFlops } from '../plan/flops.js';
import { subTokenCount, tokenCount } from '../plan/shape.js';
import { tokenAt } from '../plan/vocabulary.js';
import { Tensor } from '../tensor.js';
import type { Work, WorkStep } from './group.js';
import type { NativeSessionOptions, NativeState } from './native.js';
import { checkFaults } from './numeric.js';
import type { Batch, Request } from './request.js';
import type { GenerationStep } from './result.js';

/** What a prediction shows at the first positions while they are masked. */
export interface Condition {
  /** [count, n] tokens of the first n positions. */
  readonly tokens: Int32Array;
  /** The tokenizer's. */
  readonly flops: number;
}

/** A step of a batch that has run. */
export interface BatchStep extends WorkStep {
  /** The batch's number in the request. */
  readonly batch: number;
}

/** Values [count, length] of these samples: [samples, length]. */
function gather<T extends Int32Array | Uint8Array>(
  values: T,
  samples: readonly number[],
  length: number,
): T {
  const result = new (values.constructor as new (size: number) => T)(samples.length * length);
  samples.forEach((sample, i) => {
    result.set(values.subarray(sample * length, (sample + 1) * length), i * length);
  });
  return result;
}

/** Tokens of ids and masked flags [samples, sub-tokens], -1 where masked. A token is masked while one of its sub-tokens is. */
function tokensOf(config: GeneratorConfig, ids: Int32Array, masked: Uint8Array): Int32Array {
  const { subTokens } = config;
  const tokens = new Int32Array(ids.length / subTokens);
  for (let i = 0; i < tokens.length; ++i) tokens[i] = tokenAt(config, ids, i * subTokens);
  for (let i = 0; i < masked.length; ++i) {
    if (masked[i] !== 0) tokens[Math.floor(i / subTokens)] = -1;
  }
  return tokens;
}

function maskedCount(tokens: Int32Array): number {
  let count = 0;
  for (const token of tokens) if (token < 0) ++count;
  return count;
}

export class Samples {
  readonly #config: GeneratorConfig;
  readonly #request: Request;
  /** [count, sub-tokens] what the model sees before the first step. */
  #shown: Int32Array;
  /** [count, N] as they are now, -1 where masked: each step writes here what it reveals, and nothing else is looked at. */
  readonly #tokens: Int32Array;
  /** How many of them are masked. */
  #masked: number;
  #parts: FlopsByPart = { projections: 0, attention: 0, mlp: 0, lmHead: 0 };

  constructor(config: GeneratorConfig, request: Request) {
    this.#config = config;
    this.#request = request;
    this.#shown = request.ids;
    this.#tokens = tokensOf(config, request.ids, request.masked);
    this.#masked = maskedCount(this.#tokens);
  }

  /** FLOPs of the transformer so far, summed over what was launched. */
  get parts(): FlopsByPart {
    return this.#parts;
  }

  /** Shows the condition in place of [MASK]. */
  show({ tokens }: Condition): void {
    const count = this.#request.labels.length;
    const positions = tokens.length / count;
    this.#shown = this.#request.ids.slice();
    for (let i = 0; i < count; ++i) {
      const own = tokens.subarray(i * positions, (i + 1) * positions);
      this.#shown.set(own, i * tokenCount(this.#config));
    }
  }

  /** A batch, ready for a session. observed: somebody looks at every step. */
  work(batch: number, observed: boolean): Work {
    const { batches, confidence, topK, turns } = this.#request;
    const { samples, plan } = batches[batch]!;
    return {
      session: this.#sessionOptions(samples),
      plan,
      confidence: turns === undefined ? confidence : 'turn',
      topK,
      observed,
    };
  }

  #sessionOptions(samples: Batch['samples']): NativeSessionOptions {
    const { masked, turns, classIds, nullClassId, firstSample, seed } = this.#request;
    const length = subTokenCount(this.#config);
    return {
      ids: gather(this.#shown, samples, length),
      masked: gather(masked, samples, length),
      turns: turns === undefined ? new Int32Array() : gather(turns, samples, length),
      classIds: gather(classIds, samples, 1),
      nullClassId,
      sampleNumbers: Int32Array.from(samples, (sample) => firstSample + sample),
      seeds: new BigUint64Array(samples.length).fill(BigInt(seed)),
    };
  }

  /** Counts a step and keeps what it revealed. @throws MagnetsError ERR_NUMERIC where numbers overflowed. */
  take({ batch, parts, state }: BatchStep): void {
    this.#parts = {
      projections: this.#parts.projections + parts.projections,
      attention: this.#parts.attention + parts.attention,
      mlp: this.#parts.mlp + parts.mlp,
      lmHead: this.#parts.lmHead + parts.lmHead,
    };
    if (state === undefined) return;
    const { samples, plan } = this.#request.batches[batch]!;
    checkFaults(this.#config.name, plan, samples, state);
    this.#write(samples, state);
  }

  #write(samples: Batch['samples'], { ids, masked }: NativeState): void {
    const length = tokenCount(this.#config);
    const tokens = tokensOf(this.#config, ids, masked);
    samples.forEach((sample, i) => {
      const own = tokens.subarray(i * length, (i + 1) * length);
      const before = this.#tokens.subarray(sample * length, (sample + 1) * length);
      this.#masked += maskedCount(own) - maskedCount(before);
      before.set(own);
    });
  }

  /** [count, N] the tokens as they are now, -1 where masked. */
  tokens(): Tensor<'int32'> {
    const dims = [this.#request.labels.length, tokenCount(this.#config)];
    return new Tensor('int32', this.#tokens.slice(), dims);
  }

  /** The step that was taken last, as the caller sees it. */
  stepOf({ batch, step, parts }: BatchStep): GenerationStep {
    const { batches } = this.#request;
    return {
      step: step.step,
      steps: batches[batch]!.plan.steps.length,
      batch,
      batches: batches.length,
      width: step.width.name,
      refresh: step.refresh,
      activeRows: step.activeRows,
      masked: this.#masked,
      flops: totalFlops(parts),
      parts,
      tokens: this.tokens(),
    };
  }
}
