// Single operations of size L: ours beside the fastest of the peer's.

import { number } from './run.js';

/** @typedef {import('./run.js').Row} Row */

/** Our operation and its sizes, as `peerKeyOf` names the peer's. @param {Row} row */
function keyOf({ name, heads, shape }) {
  const [a = 0, b = 0, c = 0] = shape.match(/\d+/g)?.map(Number) ?? [];
  if (name === 'attention') return `attention ${a} ${heads} ${b} ${c}`;
  if (name === 'qkv') return `qkv ${[a * b, heads * 192, 1024]}`;
  return `${name} ${name === 'lm_head' ? [a, c] : [a, b, c]}`; // the peer pads the outputs of the LM head
}

/** @param {Row} row */
function peerKeyOf({ name, heads, sequences, queries, keys, m, n, k }) {
  if (name === 'attention') return `attention ${sequences} ${heads} ${queries} ${keys}`;
  const same = name === 'up_gelu' ? 'up' : name; // ours has GELU in it
  return `${same} ${name === 'lm_head' ? [m, k] : [m, n, k]}`;
}

/** A table of what both measured, and in how many shapes of attention ours is slower. @param {import('./run.js').Run} run */
export function operations(run) {
  /** @type {Map<string, Row>} */
  const fastest = new Map();
  for (const row of run.peerOperations) {
    if (row.name === 'up') continue;
    const key = peerKeyOf(row);
    const before = fastest.get(key);
    if (before === undefined || row.median < before.median) fastest.set(key, row);
  }
  const lines = [['operation', 'batch', 'ours us', 'PyTorch', 'PyTorch/ours', 'TFLOP/s']];
  const attention = { slower: 0, compared: 0 };
  for (const row of run.read('operations')?.rows ?? []) {
    const peer = fastest.get(keyOf(row));
    if (peer === undefined) continue;
    if (row.name === 'attention') {
      ++attention.compared;
      if (row.median > peer.median) ++attention.slower;
    }
    lines.push([
      ...[`${row.name} ${row.shape}, ${row.heads} heads`, String(row.batch)],
      ...[number(row.median, 1e6), number(peer.median, 1e6), number(peer.median / row.median)],
      number(row.flops / row.median, 1e-12, 0),
    ]);
  }
  return { lines, attention };
}
