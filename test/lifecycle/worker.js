// Generates once and reports; with workerData.linger then goes on until it is terminated.
import { parentPort, workerData } from 'node:worker_threads';
import { load } from '../../dist/index.js';

const model = await load(workerData.folder, { threads: 2 });
const { tokens } = await model.generate({ labels: ['b'], steps: 4, seed: 3 }).result();
parentPort?.postMessage(tokens.data);
while (workerData.linger) await model.generate({ labels: ['b'], count: 256, steps: 50 }).result();
