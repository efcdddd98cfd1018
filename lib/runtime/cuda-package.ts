/**
 * The CUDA package, where one is installed beside this. It is a package of its own because it is large and of use on few
 * machines. Its addon and its CUDA library were built together: C++ objects cross between the two.
 */

import { loadLibrary } from './load-library.js';
import { require } from './package.js';

const cudaPackage = `magnets-cuda-${process.platform}-${process.arch}`;

let problem: string | undefined;

/** Why the addon of an installed CUDA package was left aside. */
export function cudaPackageProblem(): string | undefined {
  return problem;
}

/** Its addon; undefined where it is not installed, or does not fit: then there is a problem. */
export function loadFromCudaPackage(): unknown {
  const { version } = require('../../package.json');
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
    return loadLibrary(require.resolve(`${cudaPackage}/magnets.node`));
  } catch (error) {
    problem = `${cudaPackage} cannot be loaded: ${error instanceof Error ? error.message : error}`;
    return undefined;
  }
}
