/** What the prebuilt addons are: for which system, what they need of it, what they export, how large they are. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

const targets: { folder: string; file: string }[] = JSON.parse(
  readFileSync(join(root, 'scripts/prebuilds/targets.json'), 'utf8'),
);

/** The lines that a tool of LLVM or binutils prints of a file, without spaces around them. */
function lines(tool: string, ...args: string[]): string[] {
  return execFileSync(tool, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
    .split('\n')
    .map((line) => line.trim());
}

/** All that a regular expression finds. */
function all(text: readonly string[], pattern: RegExp): string[] {
  return [...new Set(text.flatMap((line) => pattern.exec(line)?.[1] ?? []))].sort();
}

const entryPoints = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];
const machines: Record<string, string> = {
  'linux-x64': 'ELF64 EM_X86_64',
  'linux-arm64': 'ELF64 EM_AARCH64',
  'darwin-arm64': 'Mach-O arm64',
  'darwin-x64': 'Mach-O 64-bit x86-64',
  'win32-x64': 'COFF-x86-64 IMAGE_FILE_MACHINE_AMD64',
};

/** The libraries of the system that are there on each of its machines. */
const allowed: Record<string, RegExp> = {
  glibc: /^(lib(c|m|dl|pthread|rt|gcc_s)\.so\.\d|ld-linux-.*)$/,
  musl: /^libc(\.musl.*)?\.so/,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/,
  win32:
    /^(KERNEL32|ntdll|ADVAPI32|api-ms-win-crt-.*|msvcrt|ucrtbase|USER32|WS2_32|SHELL32)\.dll$/i,
};

for (const { folder, file } of targets) {
  const path = join(root, 'prebuilds', folder, file);
  const name = `${folder}/${file}`;
  t.test(name, { skip: !existsSync(path) && 'not built: npm run prebuilds:all' }, async (t) => {
    const head = lines('llvm-readobj', '--file-headers', path).join(' ');
    const [format, machine] = machines[folder]!.split(/ (?=\S+$)/);
    t.match(
      head,
      new RegExp(`${format}.*${machine}|Arch: ${machine === 'arm64' ? 'aarch64' : 'x86_64'}`, 'i'),
    );

    const [system] = folder.split('-');
    const kind = system === 'linux' ? file.split('.')[1]! : system!;
    const needed = all(
      lines('llvm-readobj', system === 'win32' ? '--coff-imports' : '--needed-libs', path),
      system === 'win32' ? /^Name: (.*\.dll)$/i : /^([\w./-]+\.(?:so|dylib)[\w.]*|ld-linux.*)$/,
    ).filter((library) => !library.endsWith('.node'));
    t.same(
      needed.filter((library) => !allowed[kind]!.test(library)),
      [],
      'needs the system alone',
    );

    let exported: string[];
    if (system === 'win32') {
      exported = all(lines('llvm-readobj', '--coff-exports', path), /^Name: (\w+)$/)
        // Its header exports libunwind's functions, whoever links it.
        .filter((name) => !/^(_Unwind|unw|_GCC)_/.test(name));
    } else if (system === 'darwin') {
      exported = all(lines('llvm-nm', '--extern-only', '--defined-only', path), / [TDSR] _(\w+)$/);
    } else {
      exported = all(lines('llvm-nm', '--dynamic', '--defined-only', path), / [A-Z] ([\w@.]+)$/i);
    }
    // zig's linker for macOS hides nothing of the C++ library.
    if (system === 'darwin') exported = exported.filter((name) => entryPoints.includes(name));
    t.same(exported, entryPoints);

    if (kind === 'glibc') {
      const versions = all(lines('llvm-readelf', '--version-info', path), /GLIBC_(2\.\d+)/);
      const newest = Math.max(...versions.map((version) => Number(version.slice(2))));
      t.ok(newest <= 28, `glibc 2.${newest}`);
    }
    t.ok(statSync(path).size < 3e6, `${statSync(path).size} bytes`);
  });
}
