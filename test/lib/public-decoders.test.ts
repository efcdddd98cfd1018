/**
 * The pictures inside the decoders of converted tokenizers are those of their own code. A decoder is cut off: levels are
 * left out, or have blocks that add nothing, and so has the middle. Its output becomes one of as many channels as the
 * picture has, each of them a share of that channel about 1/2, since pixels are cut off at 0 and 1. The norm and the
 * SiLU before the output cannot be taken out; their results are compared.
 */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import type { ConvTokenizerConfig } from '../../lib/checkpoint/conv-tokenizer.js';
import type { FileTensors } from '../../lib/checkpoint/safetensors.js';
import { info, Tensor } from '../../lib/index.js';
import { engineTensors } from '../../lib/runtime/listing.js';
import { native } from '../../lib/runtime/native.js';
import { relativeError } from './fixtures.js';
import { answersOf, convBound, convertAll, inRows, type PublicModel } from './public-answers.js';
import { madeTensor, temporaryFolder } from './public-files.js';

const folder = temporaryFolder(t);
await convertAll(folder);

/** Of a value under the norm, so that pixels stay between 0 and 1. */
const share = 1 / 32;

interface Cut {
  readonly config: Partial<ConvTokenizerConfig>;
  /** What adds nothing. */
  readonly without?: readonly string[];
}

/** The coarsest level, of 4 x 4 with 64 channels, and nothing of it but the middle. */
const coarse: Cut['config'] = { sampleShape: [1, 4, 4], multipliers: [2], decoderBlocks: 0 };
/** The coarsest level and its doubling. The level of the pixels has other channels than the file says. */
const doubled: Cut['config'] = { multipliers: [2, 2] };

const middle = (i: number, part: string) => `decoder.middle.${i}.${part}.`;

interface Decoder {
  readonly model: PublicModel;
  /** By the answer's name. */
  readonly cuts: Readonly<Record<string, Cut>>;
}

const decoders: Readonly<Record<string, Decoder>> = {
  'vq16-tiny': {
    model: 'halton',
    cuts: {
      'decoder.conv_in': {
        config: coarse,
        without: [middle(0, 'conv2'), middle(1, 'output'), middle(2, 'conv2')],
      },
      'decoder.mid.0': { config: coarse, without: [middle(1, 'output'), middle(2, 'conv2')] },
      'decoder.mid.1': { config: coarse, without: [middle(2, 'conv2')] },
      'decoder.mid.2': { config: coarse },
      'decoder.up.0': { config: doubled },
    },
  },
  'maskgit-vqgan-tiny': {
    model: 'port',
    cuts: {
      'decoder.conv_in': { config: coarse, without: [middle(0, 'conv2'), middle(1, 'conv2')] },
      'decoder.mid.0': { config: coarse, without: [middle(1, 'conv2')] },
      'decoder.mid.1': { config: coarse },
      'decoder.up.1': { config: doubled },
      'decoder.up.0': { config: {} },
    },
  },
};

/** The tensors that a cut decoder needs: those of the file that have its shapes and are not left out, and zeros. */
function tensorsOf(config: ConvTokenizerConfig, tensors: FileTensors, without: readonly string[]) {
  const made: Record<string, FileTensors[string]> = {};
  for (const { name, shape } of engineTensors.tokenizer(config)) {
    const own = without.some((prefix) => name.startsWith(prefix)) ? undefined : tensors[name];
    const fits = own?.shape.join() === shape.join();
    made[name] = fits ? own! : madeTensor(folder, shape, () => 0);
  }
  const { channels } = config;
  return {
    ...made,
    'decoder.norm.weight': madeTensor(folder, [channels], () => 1),
    'decoder.norm.bias': madeTensor(folder, [channels], () => 0),
    // The middle of the nine taps, of each channel from itself.
    'decoder.output.weight': madeTensor(folder, [channels, 3, 3, channels], (i) => {
      const [from, tap] = [i % channels, Math.floor(i / channels) % 9];
      return tap === 4 && from === Math.floor(i / channels / 9) ? share : 0;
    }),
    'decoder.output.bias': madeTensor(folder, [channels], () => 1 / 2),
  };
}

/** The group norm, without weights, and the SiLU of pictures [count, channels, height, width], in f64. */
function activated(pictures: Tensor<'float32'>, groups: number, epsilon: number) {
  const size = pictures.size / pictures.dims[0]! / groups;
  const result = new Float32Array(pictures.size);
  for (let first = 0; first < pictures.size; first += size) {
    const group = Float64Array.from(pictures.data.subarray(first, first + size));
    const mean = group.reduce((sum, value) => sum + value, 0) / size;
    const variance = group.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
    const normed = group.map((value) => (value - mean) / Math.sqrt(variance + epsilon));
    result.set(
      normed.map((value) => value / (1 + Math.exp(-value))),
      first,
    );
  }
  return new Tensor('float32', result, pictures.dims);
}

async function check(t: Test, instructionSet: string, of: string, { model, cuts }: Decoder) {
  const answers = answersOf(of);
  const { tokenizer } = await readCheckpoint(join(folder, model), engineTensors);
  const whole = tokenizer!.config as ConvTokenizerConfig;
  const given = answers.int('given');
  const device = native().openCpu(2, instructionSet);
  t.teardown(() => device.dispose());
  for (const [name, { config: cut, without = [] }] of Object.entries(cuts)) {
    const answer = answers.float(name);
    const config = { ...whole, ...cut, channels: answer.dims[1]! };
    const tensors = tensorsOf(config, tokenizer!.tensors, without);
    const decoder = await device.loadTokenizer(config, tensors, 'f32');
    const { pixels } = await decoder.detokenize(given.data, given.dims[0]!);
    decoder.dispose();
    const seen = pixels.map((value) => (value - 1 / 2) / share);
    const want = inRows(of, activated(answer, config.normGroups, config.normEps)).data;
    const error = relativeError(seen, want);
    t.ok(error < convBound, `${name}: error ${error} of ${convBound}`);
  }
}

for (const instructionSet of info().cpu.instructionSets) {
  for (const [of, decoder] of Object.entries(decoders)) {
    t.test(`${of}, ${instructionSet}`, (t) => check(t, instructionSet, of, decoder));
  }
}
