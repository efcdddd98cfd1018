/** The files that commands write: what stands in the way is found before anything is computed, and no file is lost. */

import { randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { access, chmod, constants, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { makeFolders } from '../checkpoint/disk-file.js';
import { quote } from '../errors.js';
import { UsageError } from './arguments.js';

/** As much is written and removed again to see that a file can be written. */
const probeBytes = 2 ** 16;

async function statIfAny(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes a file beside `path` for `use`, which may rename it. It is gone afterwards. */
async function writeBeside(
  path: string,
  bytes: Uint8Array | string,
  use: (partial: string) => Promise<void>,
): Promise<void> {
  // A name of its own: with more at its end the file's might be too long.
  const partial = join(dirname(path), `.${randomUUID()}.partial`);
  const before = await statIfAny(path);
  try {
    await writeFile(partial, bytes, { flag: 'wx', flush: true });
    // Who may read the file before may read this one, and nobody else.
    if (before !== undefined) await chmod(partial, before.mode & 0o777);
    await use(partial);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Writes a file whole, or leaves what was there. */
export function replaceFile(path: string, bytes: Uint8Array | string): Promise<void> {
  return writeBeside(path, bytes, (partial) => rename(partial, path));
}

function cannotWrite(what: string, cause: unknown): Error {
  return new Error(`cannot write ${what}: ${(cause as Error).message}`, { cause });
}

export class OutputFile {
  private constructor(
    private readonly path: string,
    /** A device or a pipe, such as /dev/stdout: there is no file beside it to rename. */
    private readonly isStream: boolean,
    /** What messages call it. */
    private readonly what: string,
  ) {}

  /**
   * Makes the folder of `path` and sees that a file can be written there, for the option `name`.
   * @throws UsageError for a folder; Error that says why it cannot be written.
   */
  static async prepare(name: string, path: string): Promise<OutputFile> {
    const what = `${quote(path)} for --${name}`;
    try {
      await makeFolders(dirname(path));
      const facts = await statIfAny(path);
      if (facts?.isDirectory()) {
        throw new UsageError(`Expected a file for --${name} but ${quote(path)} is a folder`);
      }
      if (facts !== undefined) await access(path, constants.W_OK);
      if (facts !== undefined && !facts.isFile()) return new OutputFile(path, true, what);
      // A link stays one: what it leads to is replaced.
      const file = new OutputFile(facts ? await realpath(path) : resolve(path), false, what);
      await writeBeside(file.path, new Uint8Array(probeBytes), async () => {});
      return file;
    } catch (cause) {
      if (cause instanceof UsageError) throw cause;
      throw cannotWrite(what, cause);
    }
  }

  /** Writes the file whole, or leaves what was there. @throws Error that says why it cannot be written. */
  async write(bytes: Uint8Array | string): Promise<void> {
    try {
      if (this.isStream) await writeFile(this.path, bytes);
      else await replaceFile(this.path, bytes);
    } catch (cause) {
      throw cannotWrite(this.what, cause);
    }
  }
}
