/**
 * The code in README.md and docs/*.md compiles and runs as a reader would use it. The rules:
 *
 * - Every block that begins with ```ts or ```js at the start of a line is a module of its own: it imports all that it
 *   uses, for a reader may copy it alone. Shell commands and output belong into other blocks (```sh, ```text, ```json).
 * - Every block compiles under strict TypeScript, a js block too (checkJs), against the built package by its own name:
 *   `magnets` or `magnets/plan`. Node's types are there; no other package is.
 * - Every block is also run, a js block as it stands, in a folder of its own that is empty and goes away, and must end by
 *   itself within a minute with exit code 0. It may load the bundled models and write files. Top-level await works.
 * - A block is compiled but not run when the line before it, apart from blank lines, is <!-- no-run -->: for example a
 *   server, or code for a device or a checkpoint that is not everywhere.
 */

import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What is used of a test; one of the tests here puts another in its place. */
type Checks = Pick<typeof t, 'same' | 'teardown'>;

interface Snippet {
  /** The page and the line of its first code line, for messages. */
  readonly place: string;
  readonly language: 'ts' | 'js';
  readonly code: string;
  readonly run: boolean;
}

/** The blocks of a page. */
function snippetsOf(page: string, markdown: string): Snippet[] {
  const blocks = markdown.matchAll(/(<!-- no-run -->\s*)?^```(ts|js)\n(.*?)^```$/gms);
  return [...blocks].map((match) => {
    const [whole, noRun, language, code] = match;
    const start = match.index + whole.indexOf('```');
    const line = markdown.slice(0, start).split('\n').length + 1;
    return {
      place: `${page}:${line}`,
      language: language as 'ts' | 'js',
      code: code!,
      run: noRun === undefined,
    };
  });
}

/** A folder in which modules resolve as in a project that has installed the package. */
function makeProject(t: Checks): string {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules', 'magnets'));
  symlinkSync(join(root, 'node_modules', '@types'), join(folder, 'node_modules', '@types'));
  return folder;
}

/** Compiles all files at once to folder/out. Returns the errors of each file. */
function compile(folder: string, files: string[]): Map<string, string[]> {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [join(folder, 'node_modules', '@types')],
    strict: true,
    allowJs: true,
    checkJs: true,
    skipLibCheck: true,
    rootDir: folder,
    outDir: join(folder, 'out'),
  });
  const errors = new Map<string, string[]>(files.map((file) => [file, []]));
  for (const { file, start = 0, messageText } of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    if (file === undefined) throw new Error(text);
    const { line } = file.getLineAndCharacterOfPosition(start);
    errors.get(file.fileName)?.push(`line ${line + 1}: ${text}`);
  }
  program.emit();
  return errors;
}

function checkSnippets(t: Checks, snippets: readonly Snippet[]): void {
  const folder = makeProject(t);
  const files = snippets.map(({ language, code }, i) => {
    const file = join(folder, `snippet-${i}.${language}`);
    writeFileSync(file, code);
    return file;
  });
  const errors = compile(folder, files);
  for (const [i, { place, language, run }] of snippets.entries()) {
    const found = errors.get(files[i]!) ?? [];
    t.same(found, [], `${place} compiles`);
    if (!run || found.length > 0) continue;
    const cwd = join(folder, `run-${i}`);
    mkdirSync(cwd);
    const module = language === 'js' ? files[i]! : join(folder, 'out', `snippet-${i}.js`);
    const { status, stderr } = spawnSync(process.execPath, [module], {
      cwd,
      encoding: 'utf8',
      timeout: 60_000,
    });
    t.same({ status, stderr }, { status: 0, stderr: '' }, `${place} runs`);
  }
}

const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`)];
for (const page of pages.filter((file) => file.endsWith('.md'))) {
  const snippets = snippetsOf(page, readFileSync(join(root, page), 'utf8'));
  if (snippets.length > 0) t.test(page, async (t) => checkSnippets(t, snippets));
}

t.test('a block that does not compile or run is found', async (t) => {
  const page = [
    '```ts',
    "import { plan, presets } from 'magnets/plan';",
    'const ratio: string = plan({ model: presets.L }).flopsRatio;',
    '```',
    '```sh',
    'not code',
    '```',
    '<!-- no-run -->',
    '',
    '```js',
    "throw new Error('not run');",
    '```',
    '```js',
    "throw new Error('run');",
    '```',
    '',
  ].join('\n');
  const snippets = snippetsOf('page.md', page);
  t.match(snippets, [
    { place: 'page.md:2', language: 'ts', run: true },
    { place: 'page.md:11', language: 'js', run: false },
    { place: 'page.md:14', language: 'js', run: true },
  ]);
  const found: string[] = [];
  checkSnippets(
    {
      teardown: t.teardown.bind(t),
      same: (actual: unknown, expected: unknown, message?: unknown) => {
        const equal = JSON.stringify(actual) === JSON.stringify(expected);
        found.push(`${message}: ${equal ? 'yes' : 'no'}`);
        return equal;
      },
    } as Checks,
    snippets,
  );
  t.same(found, [
    'page.md:2 compiles: no',
    'page.md:11 compiles: yes',
    'page.md:14 compiles: yes',
    'page.md:14 runs: no',
  ]);
});
