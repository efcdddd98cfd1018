/** Converted checkpoints with heads that CUDA can compute, whose size is a multiple of 8. */

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource } from '../../lib/checkpoint/convert/source.js';
import type { MadeTensor } from '../../lib/checkpoint/convert/translation.js';
import { Scratch, writeModel } from '../../lib/checkpoint/convert/write.js';

/** How many times as large the heads become: 6 becomes 24, 12 becomes 48. */
const factor = 4;

/**
 * In which of a large head's four parts the small head is, the others being zeros. Scores are divided by the root of
 * the size, twice as much as before, so queries and keys share two parts. Under a QK norm they share one: their squares
 * are summed over two parts of four, so that each comes out larger by the root of two.
 */
function partsOf(qkNorm: boolean): Readonly<Record<string, readonly number[]>> {
  return { query: [0, 1], key: qkNorm ? [0, 2] : [0, 1], value: [0], output: [0] };
}

/** The same model: writes the checkpoint in `from` to `to`, with larger heads. */
export async function enlargeHeads(from: string, to: string): Promise<void> {
  cpSync(from, to, { recursive: true });
  const config = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8'));
  const size = config.head_dim ?? config.hidden_size / config.num_attention_heads;
  writeFileSync(join(to, 'config.json'), JSON.stringify({ ...config, head_dim: factor * size }));

  const parts = partsOf(config.qk_norm === 'rms');
  const source = await openSource(from);
  const group = source.groups.get('')!;
  const tensors = [...group].map(([name, { shape }]): MadeTensor => {
    const [, part, kind] = /\.attention\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
    const isOutput = part === 'output';
    const places = isOutput && kind === 'bias' ? undefined : parts[part ?? ''];
    if (places === undefined) {
      return {
        name,
        shape,
        from: [{ name, shape }],
        make: (target, values) => target.set(values!),
      };
    }
    const axis = isOutput ? 1 : 0;
    const values = size * (isOutput ? 1 : (shape[1] ?? 1));
    return {
      name,
      shape: shape.map((extent, i) => (i === axis ? factor * extent : extent)),
      from: [{ name, shape }],
      make(target, small) {
        target.fill(0);
        for (let head = 0; head * values < small!.length; ++head) {
          const own = small!.subarray(head * values, (head + 1) * values);
          for (const place of places) target.set(own, (factor * head + place) * values);
        }
      },
    };
  });
  const file = join(to, 'model.safetensors');
  rmSync(file);
  await writeModel(file, { path: from, group }, tensors, 'f32', new Scratch(tensors), () => {});
  await closeSource(source);
}
