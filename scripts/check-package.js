// npm run lint:package: what others' tools say of the package as it is published, each even if one before it has failed.
// They come from the registry, because nothing else needs them. Ends with `lint: N passed, M failed`.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'magnets-package-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const packed = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
const tarball = join(folder, execFileSync('npm', packed, { encoding: 'utf8' }).trim());

/** @type {Record<string, string[]>} */
const tools = {
  publint: ['npx', '--yes', 'publint@0.3', '--strict', tarball],
  // Only import and a Node that can require it: there is no CommonJS build.
  types: ['npx', '--yes', '@arethetypeswrong/cli@0.18', '--profile', 'esm-only', tarball],
  audit: ['npm', 'audit', '--omit=dev'],
  sbom: ['npm', 'sbom', '--omit=dev', '--sbom-format=cyclonedx', '--package-lock-only'],
  workflows: [
    ...[
      'npx',
      '--yes',
      '--package=@action-validator/core@0.6',
      '--package=@action-validator/cli@0.6',
    ],
    ...['action-validator', '.github/workflows/ci.yml'],
  ],
};

let failed = 0;
for (const [name, [command, ...args]] of Object.entries(tools)) {
  const { status, stdout, stderr } = spawnSync(/** @type {string} */ (command), args, {
    encoding: 'utf8',
  });
  if (status === 0) continue;
  ++failed;
  console.error(`${name} failed:\n${stdout}${stderr}`);
}
console.log(`lint: ${Object.keys(tools).length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
