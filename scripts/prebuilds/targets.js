// The platforms that a prebuilt addon ships for, as node-gyp-build looks for them: prebuilds/<folder>/<file>.

/**
 * @typedef {object} Target
 * @property {string} folder `process.platform`-`process.arch`
 * @property {string} file with prebuildify's tag of the C library, where there are two
 * @property {string} zig what zig calls it, with the oldest version of the system that it is for
 */

/** @type {readonly Target[]} */
export const targets = [
  { folder: 'linux-x64', file: 'magnets.glibc.node', zig: 'x86_64-linux-gnu.2.28' },
  { folder: 'linux-x64', file: 'magnets.musl.node', zig: 'x86_64-linux-musl' },
  { folder: 'linux-arm64', file: 'magnets.glibc.node', zig: 'aarch64-linux-gnu.2.28' },
  { folder: 'linux-arm64', file: 'magnets.musl.node', zig: 'aarch64-linux-musl' },
  { folder: 'darwin-arm64', file: 'magnets.node', zig: 'aarch64-macos.11.0' },
  { folder: 'darwin-x64', file: 'magnets.node', zig: 'x86_64-macos.11.0' },
  { folder: 'win32-x64', file: 'magnets.node', zig: 'x86_64-windows-gnu' },
];
