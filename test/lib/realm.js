// Loads the built package in a realm of its own, as test runners do (Jest, vitest's vmForks): every global class of
// JavaScript is there a second time. Run with --experimental-vm-modules; prints what generating there gives.
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

const globals = { AbortController, AbortSignal, Buffer, console, crypto, performance, process };
const context = vm.createContext({ ...globals, TextDecoder, URL });
/** @type {Map<string, vm.Module>} */
const modules = new Map();

/** A module of the host's realm: Node's own, and packages. @param {string} name */
async function hosted(name) {
  const exported = await import(name);
  return new vm.SyntheticModule(
    Object.keys(exported),
    function () {
      for (const [key, value] of Object.entries(exported)) this.setExport(key, value);
    },
    { context },
  );
}

/** @param {string} name @param {string} from @returns {Promise<vm.Module>} */
async function load(name, from) {
  const url = name.startsWith('.') ? new URL(name, from).href : name;
  const known = modules.get(url);
  if (known !== undefined) return known;
  const module =
    isBuiltin(url) || url === name
      ? await hosted(url)
      : new vm.SourceTextModule(readFileSync(fileURLToPath(url), 'utf8'), {
          context,
          identifier: url,
          initializeImportMeta: (meta) => {
            meta.url = url;
          },
        });
  modules.set(url, module);
  return module;
}

const source = `
  import { decodePng, encodePng, load, MagnetsError, Tensor } from '../../dist/index.js';
  const model = await load(${JSON.stringify(process.argv[2])}, { device: 'cpu' });
  const { tokens, pixels } = await model.generate({ labels: ['a'], steps: 4, seed: 3 }).result();
  const edited = await model.generate({ labels: ['a'], tokens: tokens.data, seed: 3 }).result();
  const logits = await model.forward({ tokens, labels: ['a'] });
  const picture = new Tensor('float32', pixels.data, pixels.dims.slice(1));
  const [height, width, channels] = picture.dims;
  const again = decodePng(encodePng(picture), { height, width, channels });
  const refused = await load('no-such-folder').catch((error) => error);
  console.log(JSON.stringify({
    own: tokens.data instanceof Int32Array && logits.data instanceof Float32Array,
    tokens: [...tokens.data],
    edited: [...edited.tokens.data],
    dims: [pixels.dims, logits.dims, again.dims, (await model.tokenize(pixels)).dims],
    refused: [refused instanceof MagnetsError, refused.code],
  }));
`;
const main = new vm.SourceTextModule(source, { context, identifier: import.meta.url });
await main.link((name, { identifier }) => load(name, identifier));
await main.evaluate();
