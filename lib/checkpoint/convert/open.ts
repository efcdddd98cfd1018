/** Opens what the user named, by its contents. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MagnetsError } from '../../errors.js';
import { strangeContents } from '../contents.js';
import { DiskFile, isFolder } from '../disk-file.js';
import { indexEnding } from '../shards.js';
import { isFlax, openFlax } from './flax.js';
import { isSafetensors, openSafetensors, openShards } from './shards.js';
import type { Source } from './source.js';
import { isLegacyTorch, isTorchArchive, openTorch } from './torch.js';

/** The names that Hugging Face gives a model's weights, the best first. */
const usualNames = [`model${indexEnding}`, 'model.safetensors', 'pytorch_model.bin'];

/** The checkpoint's file in a folder: one of a usual name, or the only one that may be one. */
async function fileIn(folder: string): Promise<string> {
  const names = (await readdir(folder)).sort();
  const usual = usualNames.find((name) => names.includes(name));
  if (usual !== undefined) return join(folder, usual);
  const found = names.filter((name) => /\.(safetensors|pth|pt|bin|ckpt)$/.test(name));
  if (found.length === 1) return join(folder, found[0]!);
  const what = found.length === 0 ? 'none' : found.slice(0, 4).join(', ');
  const message = `${folder}: expected one file of weights but found ${what}: name the file`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
}

async function openByContents(disk: DiskFile): Promise<Source> {
  if (disk.path.endsWith(indexEnding)) return openShards(disk);
  if (disk.size < 16) disk.refuse(`expected a checkpoint but it has ${disk.size} bytes`);
  const start = await disk.read(0, Math.min(disk.size, 512));
  if (isTorchArchive(start)) return openTorch(disk);
  if (isLegacyTorch(start)) {
    disk.refuse(
      'expected a zip archive but it is in the form that torch.save had before version 1.6: load it in torch and save it again',
    );
  }
  if (isSafetensors(start)) return openSafetensors(disk);
  if (isFlax(start)) return openFlax(disk);
  const strange = strangeContents(start);
  const received = strange === undefined ? '' : ` but it is ${strange}`;
  return disk.refuse(
    `expected a file of torch.save, of flax (msgpack) or of safetensors${received}`,
  );
}

/** @throws MagnetsError ERR_CHECKPOINT for anything that is not sound. */
export async function openSource(path: string): Promise<Source> {
  const disk = await DiskFile.open((await isFolder(path)) ? await fileIn(path) : path);
  try {
    return await openByContents(disk);
  } catch (error) {
    await disk.close();
    throw error;
  }
}
