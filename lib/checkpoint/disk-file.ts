/** Reads pieces of a file. Positions come from the file itself, so every one is checked. */

import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { MagnetsError } from '../errors.js';

/** How much is read ahead for `peek`. */
const blockBytes = 2 ** 16;

/** The system reads at most 2^31 - 4096 bytes at once. */
const readBytes = 2 ** 30;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is none',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  ENAMETOOLONG: 'a name in its path is too long',
  ELOOP: 'its links go in a circle',
  EMFILE: 'this process has too many files open',
  ENFILE: 'this system has too many files open',
};

/** Why a file could not be opened or read. `kind` is what it belongs to. */
export function unreadable(
  path: string,
  cause: unknown,
  kind: 'ERR_CHECKPOINT' | 'ERR_MEDIA' = 'ERR_CHECKPOINT',
): MagnetsError {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOMEM') {
    const text = `${path}: the system has no memory to read it (ENOMEM)`;
    return new MagnetsError('ERR_OUT_OF_MEMORY', text, { cause });
  }
  const reason = Object.hasOwn(reasons, code) ? `${reasons[code]} (${code})` : message;
  const text = `${path}: expected a readable file but ${reason}`;
  return new MagnetsError(kind, text, { cause });
}

/** What the system says, without its call and the file, which may be a temporary one: `ENOSPC: no space left on device`. */
export function reasonOf(cause: unknown): string {
  return (cause as Error).message.replace(/, \w+( '.*)?$/s, '');
}

/** Why a folder could not be written. */
export function unwritable(path: string, cause: unknown): MagnetsError {
  const message = `${path}: expected a folder that can be written but ${reasonOf(cause)}`;
  return new MagnetsError('ERR_CHECKPOINT', message, { cause });
}

/**
 * The whole path as it is now, so that it stays the same file where another folder becomes the current one.
 * @throws MagnetsError ERR_CHECKPOINT where a relative one has no current folder.
 */
export function absolute(path: string): string {
  try {
    return resolve(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** False also where it cannot be told: opening it as a file then says why. */
export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Makes a folder and those above it that are missing. Node's own way never ends where a file system says that what it
 * cannot make is missing, as /proc does.
 */
export async function makeFolders(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolders(parent);
  try {
    await mkdir(path);
  } catch (error) {
    if (!(await isFolder(path))) throw error; // somebody else may have made it meanwhile
  }
}

/** Memory for bytes of a file. */
function allocate(path: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    const message = `${path}: no memory for ${length} bytes of it`;
    throw new MagnetsError('ERR_OUT_OF_MEMORY', message, { cause });
  }
}

export class DiskFile {
  #block: Buffer = Buffer.alloc(0);
  #blockStart = 0;

  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly handle: FileHandle,
    /** When it was last written to, in milliseconds, as it was when it was opened. */
    readonly modified: number,
  ) {}

  /** @throws MagnetsError ERR_CHECKPOINT when there is no such file. */
  static async open(path: string): Promise<DiskFile> {
    let handle: FileHandle | undefined;
    let isFolder: boolean;
    try {
      // Before it is opened: to open a pipe waits for who writes to it.
      let facts = await stat(path);
      isFolder = facts.isDirectory();
      if (facts.isFile()) {
        handle = await open(path);
        facts = await handle.stat();
        if (facts.isFile()) return new DiskFile(path, facts.size, handle, facts.mtimeMs);
        await handle.close();
      }
    } catch (cause) {
      await handle?.close();
      throw unreadable(path, cause);
    }
    const what = isFolder ? 'it is a folder' : 'it is a device or a pipe';
    throw new MagnetsError('ERR_CHECKPOINT', `${path}: expected a file but ${what}`);
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
  async readInto(target: Uint8Array, position: number, signal?: AbortSignal): Promise<void> {
    this.#check(position, target.byteLength);
    let filled = 0;
    while (filled < target.byteLength) {
      signal?.throwIfAborted();
      const length = Math.min(target.byteLength - filled, readBytes);
      const bytesRead = await this.#read(target, filled, length, position + filled);
      if (bytesRead === 0) this.refuse('expected more bytes: the file has changed');
      filled += bytesRead;
    }
  }

  async #read(target: Uint8Array, from: number, length: number, position: number): Promise<number> {
    try {
      return (await this.handle.read(target, from, length, position)).bytesRead;
    } catch (cause) {
      throw unreadable(this.path, cause);
    }
  }

  /** The whole file, which must have no more than `most` bytes. */
  async readAll(most: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (this.size > most) {
      this.refuse(`expected at most ${most} bytes but it has ${this.size}`);
    }
    const bytes = allocate(this.path, this.size);
    await this.readInto(bytes, 0, signal);
    return bytes;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#check(position, length);
    const bytes = allocate(this.path, length);
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

  /** @throws MagnetsError ERR_CHECKPOINT where it was written to since it was opened. */
  async checkUnchanged(): Promise<void> {
    const { size, mtimeMs: modified } = await this.handle.stat();
    refuseChanged(this, { size, modified });
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** A file as it was when it was opened. */
export type FileFacts = Pick<DiskFile, 'path' | 'size' | 'modified'>;

function refuseChanged(file: FileFacts, found: Omit<FileFacts, 'path'>): void {
  if (found.size === file.size && found.modified === file.modified) return;
  const message = `${file.path}: expected the file as it was when it was opened: it has changed`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
}

/** @throws MagnetsError ERR_CHECKPOINT where another file is in its place since, or it was written to. */
export async function checkUnchanged(file: FileFacts): Promise<void> {
  const now = await DiskFile.open(file.path);
  await now.close();
  refuseChanged(file, now);
}
