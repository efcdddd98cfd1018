/** A file for each sample: `out/%06d.png` stands for out/000000.png and so on. */

import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { quote } from '../errors.js';
import { UsageError } from './arguments.js';
import { OutputFile } from './output-file.js';

const place = /%(?:0(\d{1,2}))?d/;

export const isNumbered = (path: string): boolean => place.test(path);

export class NumberedFiles {
  private constructor(
    private readonly name: string,
    private readonly pattern: string,
  ) {}

  /**
   * Makes the folder and sees that files can be written there, for the option `name`: `count` of them, none of them
   * `other`.
   * @throws What OutputFile.prepare does; UsageError for a number in a folder's name or a second one, and where two
   * files are the same.
   */
  static async prepare(
    name: string,
    pattern: string,
    { first, count }: { readonly first: number; readonly count: number },
    other: OutputFile | undefined,
  ): Promise<NumberedFiles> {
    const folder = dirname(pattern);
    if (isNumbered(folder) || isNumbered(pattern.replace(place, ''))) {
      const expected = 'one number such as %06d, in the name of the file,';
      throw new UsageError(`Expected ${expected} for --${name} but received ${quote(pattern)}`);
    }
    const files = new NumberedFiles(name, pattern);
    await OutputFile.prepare(name, files.#path(first));
    const real = await realpath(folder);
    const there = new Set(await readdir(folder));
    const taken = new Set([other?.path]);
    for (let number = first; number < first + count; ++number) {
      const path = files.#path(number);
      const own = basename(path);
      const isThere = there.has(own); // perhaps as a link, a folder, or one that nobody may write
      const destination = isThere ? (await OutputFile.find(name, path)).path : join(real, own);
      if (taken.has(destination)) {
        throw new UsageError(
          `Expected another file for --${name} than ${quote(destination)}: another output goes there`,
        );
      }
      taken.add(destination);
    }
    return files;
  }

  #path(number: number): string {
    return this.pattern.replace(place, (_, width) =>
      String(number).padStart(Number(width ?? 0), '0'),
    );
  }

  /** Writes a file whole, or leaves what was there. @throws what OutputFile.find does. */
  async write(number: number, bytes: Uint8Array): Promise<void> {
    await (await OutputFile.find(this.name, this.#path(number))).write(bytes);
  }
}
