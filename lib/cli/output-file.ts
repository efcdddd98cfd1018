/** The files that commands write: what stands in the way is found before anything is computed, and no file is lost. */

import { randomUUID } from 'node:crypto';
import { constants, rmSync, writeFile as writeDescriptor } from 'node:fs';
import { access, chmod, readlink, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { makeFolders, reasonOf } from '../checkpoint/disk-file.js';
import { quote } from '../errors.js';
import { UsageError } from './arguments.js';
import { interrupts } from './interrupts.js';

/** As much is written and removed again to see that a file can be written. */
const probeBytes = 2 ** 16;

/** `read`'s result; undefined where there is nothing, or, in its way, no link. */
async function ifAny<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EINVAL') return undefined;
    throw error;
  }
}

/** Where a path leads, through links, whether there is something or not. The links do not go in a circle. */
async function destinationOf(path: string): Promise<string> {
  const own = join(await realpath(dirname(path)), basename(path));
  if (descriptorOf(own) !== undefined) return own;
  const link = await ifAny(readlink(own));
  return link === undefined ? own : destinationOf(resolve(dirname(own), link));
}

/** The number of an open file of this process, by its path: /dev/stdout leads to such a one. */
function descriptorOf(path: string): number | undefined {
  const [, process_, number] = /^\/(?:dev|proc\/(\d+))\/fd\/(\d+)$/.exec(path) ?? [];
  const own = process_ === undefined || Number(process_) === process.pid;
  return own && number !== undefined ? Number(number) : undefined;
}

/** Whatever ends the process while `work` is done, `file` does not stay. */
async function temporarily(file: string, work: () => Promise<void>): Promise<void> {
  const remove = () => rmSync(file, { force: true });
  const end = (signal: NodeJS.Signals) => {
    if (process.listenerCount(signal) > 1) return; // another one ends the work in order
    remove();
    process.off(signal, end);
    process.kill(process.pid, signal);
  };
  process.on('exit', remove);
  for (const signal of interrupts) process.prependListener(signal, end);
  try {
    await work();
  } finally {
    await rm(file, { force: true });
    for (const signal of interrupts) process.off(signal, end);
    process.off('exit', remove);
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
  const before = await ifAny(stat(path));
  await temporarily(partial, async () => {
    await writeFile(partial, bytes, { flag: 'wx', flush: true });
    // Who may read the file before may read this one, and nobody else.
    if (before !== undefined) await chmod(partial, before.mode & 0o777);
    await use(partial);
  });
}

/** Why a file is not replaced that can be written: it is mounted, or another user's in a folder such as /tmp. */
const unreplaceable = ['EACCES', 'EBUSY', 'EPERM'];

/** Writes a file whole, or leaves what was there. */
function replaceFile(path: string, bytes: Uint8Array | string): Promise<void> {
  return writeBeside(path, bytes, async (partial) => {
    try {
      await rename(partial, path);
    } catch (error) {
      if (!unreplaceable.includes((error as NodeJS.ErrnoException).code!)) throw error;
      // There is room for it: it lies beside.
      const flag = constants.O_WRONLY | constants.O_TRUNC;
      await writeFile(path, bytes, { flag: flag as unknown as string, flush: true });
    }
  });
}

/** What an open file is given; what goes to the standard output keeps its place among what is printed there. */
async function appendTo(descriptor: number, bytes: Uint8Array | string): Promise<void> {
  const stream = [undefined, process.stdout, process.stderr][descriptor];
  if (stream === undefined) await promisify(writeDescriptor)(descriptor, bytes);
  else await promisify<Uint8Array | string, void>(stream.write.bind(stream))(bytes);
}

function cannotWrite(what: string, cause: unknown): Error {
  return new Error(`cannot write ${what}: ${reasonOf(cause)}`, { cause });
}

/** `work`, of which `what` is what messages call the file; its errors say why the file cannot be written. */
async function onFile<T>(
  name: string,
  path: string,
  work: (what: string) => Promise<T>,
): Promise<T> {
  const what = `${quote(path)} for --${name}`;
  try {
    const isFolder = path.endsWith('/') || path.endsWith(sep);
    if (isFolder || (await ifAny(stat(path)))?.isDirectory()) {
      throw new UsageError(`Expected a file for --${name} but ${quote(path)} is a folder`);
    }
    return await work(what);
  } catch (cause) {
    throw cause instanceof UsageError ? cause : cannotWrite(what, cause);
  }
}

export class OutputFile {
  private constructor(
    /** Where it is, through all links. */
    readonly path: string,
    /** How it is written: whole; from its beginning on, as a device or a pipe; or as this open file of the process. */
    private readonly kind: 'file' | 'stream' | number,
    /** What messages call it. */
    private readonly what: string,
  ) {}

  static async #at(path: string, what: string): Promise<OutputFile> {
    const destination = await destinationOf(path);
    const descriptor = descriptorOf(destination);
    if (descriptor !== undefined) return new OutputFile(destination, descriptor, what);
    const facts = await ifAny(stat(destination));
    if (facts !== undefined) await access(destination, constants.W_OK);
    if (facts?.isSocket()) throw new Error('it is a socket');
    return new OutputFile(destination, facts?.isFile() === false ? 'stream' : 'file', what);
  }

  /**
   * The file at `path`, which can be written as far as its owner and kind say, for the option `name`.
   * @throws UsageError for a folder; Error that says why it cannot be written.
   */
  static find(name: string, path: string): Promise<OutputFile> {
    return onFile(name, path, (what) => OutputFile.#at(path, what));
  }

  /**
   * The same, after its folder is made, and a file was written beside it to see that this can be done.
   * @throws what `find` does.
   */
  static prepare(name: string, path: string): Promise<OutputFile> {
    return onFile(name, path, async (what) => {
      await makeFolders(dirname(path));
      const file = await OutputFile.#at(path, what);
      if (file.kind === 'file') {
        await writeBeside(file.path, new Uint8Array(probeBytes), async () => {});
      }
      return file;
    });
  }

  /** Writes the file whole, or leaves what was there. @throws Error that says why it cannot be written. */
  async write(bytes: Uint8Array | string): Promise<void> {
    try {
      if (this.kind === 'file') await replaceFile(this.path, bytes);
      else if (this.kind === 'stream') await writeFile(this.path, bytes);
      else await appendTo(this.kind, bytes);
    } catch (cause) {
      throw cannotWrite(this.what, cause);
    }
  }
}
