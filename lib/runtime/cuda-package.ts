/**
 * Finds the addon. One that was built here comes first, then that of the CUDA package where it is installed, then the
 * prebuilt one of this package.
 */

import { createRequire } from 'node:module';
import { sep } from 'node:path';

const require = createRequire(import.meta.url);

/**
 * A package of its own, because it is large and of use on few machines. Its addon and its CUDA library were built
 * together: C++ objects cross between the two.
 */
const cudaPackage = `magnets-cuda-${process.platform}-${process.arch}`;

let problem: string | undefined;

/** Why the addon of an installed CUDA package was left aside. */
export function cudaPackageProblem(): string | undefined {
  return problem;
}

/** What the installed CUDA package exports; undefined where there is none. */
function loadFromCudaPackage(version: string): unknown {
  let found: string;
  try {
    ({ version: found } = require(`${cudaPackage}/package.json`));
  } catch {
    return undefined;
  }
  if (found !== version) {
    problem = `${cudaPackage} ${found} is installed beside magnets ${version}: install the same version of both`;
    return undefined;
  }
  try {
    return require(`${cudaPackage}/magnets.node`);
  } catch (error) {
    problem = `${cudaPackage} cannot be loaded: ${error instanceof Error ? error.message : error}`;
    return undefined;
  }
}

/** Loads it for the package in the folder `root`, of this version. */
export function loadAddon(root: string, version: string): unknown {
  const { resolve } = require('node-gyp-build') as { resolve(root: string): string };
  const file = resolve(root);
  const prebuilt = file.includes(`${sep}prebuilds${sep}`);
  return (prebuilt ? loadFromCudaPackage(version) : undefined) ?? require(file);
}
