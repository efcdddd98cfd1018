/** A file for each sample: `out/%06d.png` stands for out/000000.png and so on. */

import { UsageError } from './arguments.js';
import { OutputFile, replaceFile } from './output-file.js';

const place = /%(?:0(\d{1,2}))?d/;

export const isNumbered = (path: string): boolean => place.test(path);

export class NumberedFiles {
  private constructor(private readonly pattern: string) {}

  /**
   * Makes the folder and sees that files can be written there, for the option `name`.
   * @throws What OutputFile.prepare does; UsageError for a second number in the pattern.
   */
  static async prepare(name: string, pattern: string): Promise<NumberedFiles> {
    if (isNumbered(pattern.replace(place, ''))) {
      throw new UsageError(
        `Expected one number such as %06d for --${name} but received ${pattern}`,
      );
    }
    const files = new NumberedFiles(pattern);
    await OutputFile.prepare(name, files.path(0));
    return files;
  }

  path(number: number): string {
    return this.pattern.replace(place, (_, width) =>
      String(number).padStart(Number(width ?? 0), '0'),
    );
  }

  /** Writes a file whole, or leaves what was there. */
  write(number: number, bytes: Uint8Array): Promise<void> {
    return replaceFile(this.path(number), bytes);
  }
}
