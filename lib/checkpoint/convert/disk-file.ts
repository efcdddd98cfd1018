/** Reads pieces of a file. Positions come from the file itself, so every one is checked. */

import { type FileHandle, open } from 'node:fs/promises';
import { MagnetsError } from '../../errors.js';

/** How much is read ahead for `peek`. */
const blockBytes = 2 ** 16;

export class DiskFile {
  #block: Buffer = Buffer.alloc(0);
  #blockStart = 0;

  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  /** @throws MagnetsError ERR_CHECKPOINT when there is no such file. */
  static async open(path: string): Promise<DiskFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path);
      const facts = await handle.stat();
      if (facts.isFile()) return new DiskFile(path, facts.size, handle);
    } catch (cause) {
      await handle?.close();
      throw new MagnetsError('ERR_CHECKPOINT', `${path}: expected a readable file`, { cause });
    }
    await handle.close();
    throw new MagnetsError('ERR_CHECKPOINT', `${path}: expected a file`);
  }

  refuse(message: string): never {
    throw new MagnetsError('ERR_CHECKPOINT', `${this.path}: ${message}`);
  }

  #check(position: number, length: number): void {
    if (!Number.isSafeInteger(position + length) || position < 0 || length < 0) {
      this.refuse(`expected bytes of the file but received ${length} at ${position}`);
    }
    if (position + length > this.size) {
      this.refuse(
        `expected ${length} bytes at ${position} but the file ends at ${this.size}: is it cut off?`,
      );
    }
  }

  /** Fills `target` from `position` on. */
  async readInto(target: Uint8Array, position: number): Promise<void> {
    this.#check(position, target.byteLength);
    let filled = 0;
    while (filled < target.byteLength) {
      const length = Math.min(target.byteLength - filled, 2 ** 30);
      const { bytesRead } = await this.handle.read(target, filled, length, position + filled);
      if (bytesRead === 0) this.refuse('expected more bytes: the file has changed');
      filled += bytesRead;
    }
  }

  async read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#check(position, length);
    const bytes = new Uint8Array(length);
    await this.readInto(bytes, position);
    return bytes;
  }

  /** A few bytes, out of a block that is read ahead; a view of it until the next call. */
  async peek(position: number, length: number): Promise<Buffer> {
    this.#check(position, length);
    const end = this.#blockStart + this.#block.byteLength;
    if (position < this.#blockStart || position + length > end) {
      const bytes = Math.min(Math.max(length, blockBytes), this.size - position);
      this.#block = Buffer.from((await this.read(position, bytes)).buffer);
      this.#blockStart = position;
    }
    const start = position - this.#blockStart;
    return this.#block.subarray(start, start + length);
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
