/** The floors of lib: cli -> media, runtime -> checkpoint -> plan. Nothing looks upward; media needs the plan alone. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const lib = fileURLToPath(new URL('../../lib', import.meta.url));

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
