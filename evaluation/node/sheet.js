// node evaluation/node/sheet.js --pixels FILE --cell 28,28,1 --columns 10 --out FILE
//
// Draws raw 8-bit pixels [count, height, width, channels] in rows and columns of one PNG. `--cell` is height,width,channels.

import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { contactSheet, Tensor } from '../../dist/index.js';

const { values } = parseArgs({
  options: {
    pixels: { type: 'string', default: 'samples.u8' },
    cell: { type: 'string', default: '28,28,1' },
    columns: { type: 'string', default: '10' },
    out: { type: 'string', default: 'samples.png' },
  },
});
const cell = values.cell.split(',').map(Number);
const pixels = Float32Array.from(await readFile(values.pixels), (value) => value / 255);
const count = pixels.length / cell.reduce((product, extent) => product * extent, 1);
const tensor = new Tensor('float32', pixels, [count, ...cell]);
await writeFile(values.out, contactSheet(tensor, { columns: Number(values.columns), scale: 2 }));
