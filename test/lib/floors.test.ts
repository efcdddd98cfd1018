/**
 * The floors of the sources (docs/architecture.md): in lib cli -> media, runtime -> checkpoint -> plan; in native
 * addon -> engine -> ops <- cpu, cuda. Nothing looks upward.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const lib = fileURLToPath(new URL('../../lib', import.meta.url));
const native = fileURLToPath(new URL('../../native', import.meta.url));

/** What a file of a floor may import, besides errors.ts and tensor.ts, which belong to all. */
const below: Record<string, string[]> = {
  plan: [],
  checkpoint: ['plan'],
  runtime: ['checkpoint', 'plan'],
  media: ['plan'],
  cli: ['media', 'runtime', 'checkpoint', 'plan'],
};

t.test('a file imports from its own floor and those below', async (t) => {
  t.same(
    readdirSync(lib, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort(),
    Object.keys(below).sort(),
  );
  for (const [floor, lower] of Object.entries(below)) {
    const files = readdirSync(`${lib}/${floor}`, { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.ts'))) {
      const source = readFileSync(`${lib}/${floor}/${file}`, 'utf8');
      const imports = [...source.matchAll(/from '(\.[^']+)'/g)].map((match) =>
        join(floor, dirname(file), match[1]!),
      );
      const upward = imports.filter(
        (path) =>
          !/^(errors|tensor)\.js$/.test(path) &&
          ![floor, ...lower].some((name) => path.startsWith(`${name}/`)),
      );
      t.same(upward, [], `${floor}/${file}`);
      if (floor === 'plan') t.notMatch(source, /from 'node:/, `${floor}/${file} needs no Node`);
    }
  }
});

/** What a file of native may include. The addon opens either backend; of cuda it sees what the library exports. */
const nativeBelow: Record<string, string[]> = {
  ops: [],
  engine: ['ops'],
  cpu: ['ops'],
  cuda: ['ops'],
  addon: ['engine', 'ops', 'cpu', 'cuda/library.h'],
};

/** Whose headers a floor alone includes, by how their names begin. */
const library: Record<string, string> = { cuda: 'cuda', addon: 'n' };

t.test('a file of native includes its own floor and those below', async (t) => {
  t.same(readdirSync(native).sort(), Object.keys(nativeBelow).sort());
  for (const [floor, lower] of Object.entries(nativeBelow)) {
    const files = readdirSync(`${native}/${floor}`, { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => /\.(h|cpp|cu|cuh|inl)$/.test(name))) {
      const source = readFileSync(`${native}/${floor}/${file}`, 'utf8');
      const included = (pattern: RegExp) => [...source.matchAll(pattern)].map((match) => match[1]!);
      const upward = included(/#include "([^"]+)"/g)
        .map((path) => join(floor, dirname(file), path))
        .filter((path) => ![floor, ...lower].some((name) => `${path}/`.startsWith(`${name}/`)));
      t.same(upward, [], `${floor}/${file}`);
      const foreign = included(/#include <((?:cuda|napi|node_api)[^>]*)>/g).filter(
        (name) => !name.startsWith(library[floor] ?? ' '),
      );
      t.same(foreign, [], `${floor}/${file}`);
    }
  }
});
