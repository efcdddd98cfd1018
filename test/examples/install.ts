/** Installs an example as a user would, in a folder of its own, with `magnets` from this checkout. */

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Installed {
  readonly folder: string;
  /** A path in it. */
  path(...parts: string[]): string;
  /** Imports one of its files or of its dependencies. */
  load(specifier: string): Promise<Record<string, unknown>>;
  /** Errors of its types, checked with strict TypeScript: the example's JSDoc against the packages that it uses. */
  typeErrors(): string;
}

/** The example with its dependencies from the registry; gone when the test ends. */
export function install(name: string, t: { teardown(run: () => void): void }): Installed {
  const folder = mkdtempSync(join(tmpdir(), `magnets-${name}-`));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(root, 'examples', name), folder, {
    recursive: true,
    filter: (source) => !source.includes('node_modules'),
  });
  const file = join(folder, 'package.json');
  const json = JSON.parse(readFileSync(file, 'utf8'));
  json.dependencies.magnets = `file:${root}`;
  writeFileSync(file, JSON.stringify(json));
  // The checkout is built already: without its scripts npm only links it.
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--silent'];
  execFileSync('npm', ['install', ...flags], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { resolve } = createRequire(file);
  return {
    folder,
    path: (...parts) => join(folder, ...parts),
    load: (specifier) =>
      import(
        pathToFileURL(specifier.startsWith('./') ? join(folder, specifier) : resolve(specifier))
          .href
      ),
    typeErrors() {
      const options = {
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          allowJs: true,
          checkJs: true,
          typeRoots: [join(root, 'node_modules/@types')],
          lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'],
          paths: { 'magnets/plan': [join(root, 'dist/plan/index.d.ts')] },
        },
        include: [`${folder}/**/*.js`],
        exclude: ['**/node_modules'],
      };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      return spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' }).stdout;
    },
  };
}
