// The bugs that mutate.js plants: in `file` of native/cuda, `from` becomes `to`; one of the emulated tests must fail.
// They are of the kinds that CUDA kernels suffer from: see the headings.

const mma = 'matmul_mma.cu';
const wgmma = 'matmul_wgmma.cu';
const attention = 'attention.cu';
const epilogue = 'matmul_epilogue.cuh';

/**
 * A bug: in `file`, which `source` includes (default: itself), `from` becomes `to`, and the emulated test `test` fails.
 * @typedef {{ file: string, source?: string, test: 'linear' | 'attention' | 'rows' | 'sampling' | 'decode' | 'paths',
 *   from: string, to: string }} Mutant
 */

/** @type {readonly Mutant[]} */
export const mutants = [
  // Asynchronous copies and barriers
  {
    file: mma,
    test: 'linear',
    from: 'copy_async_wait<kStages - 2>();',
    to: 'copy_async_wait<kStages - 1>();',
  },
  { file: mma, test: 'linear', from: '    copy_async_wait<kStages - 2>();\n', to: '' },
  { file: mma, test: 'linear', from: '    __syncthreads();  // this step', to: '    // this step' },
  {
    file: mma,
    test: 'linear',
    from: 'if (step < last_step) load_x(step);\n    copy_async_commit();',
    to: 'if (step < last_step) load_x(step);',
  },
  {
    file: mma,
    test: 'linear',
    from: 'shared.x[(step - first_step) % kStages], x,',
    to: 'shared.x[(step - first_step + 1) % kStages], x,',
  },
  {
    file: attention,
    test: 'attention',
    from: 'copy_async_wait<1>();',
    to: 'copy_async_wait<2>();',
  },
  {
    file: attention,
    test: 'attention',
    from: '    meet();  // the next load but one',
    to: '    // the next load but one',
  },
  {
    file: attention,
    test: 'attention',
    from: '      copy_async_wait<0>();\n    }\n    meet();',
    to: '      copy_async_wait<0>();\n    }',
  },
  {
    file: attention,
    test: 'attention',
    from: 'const T* value_tile = shared.values[slot];',
    to: 'const T* value_tile = shared.values[0];',
  },
  // Groups of warps that share keys
  {
    file: attention,
    test: 'attention',
    from: '    copy_async_wait<0>();  // of a group without keys\n',
    to: '',
  },
  {
    file: attention,
    test: 'attention',
    from: '    __syncthreads();\n    if (own_group > 0 || !active) return;',
    to: '    if (own_group > 0 || !active) return;',
  },
  {
    file: attention,
    test: 'attention',
    from: 'if (first < kStep) {',
    to: 'if (first == 0) {',
  },
  {
    file: attention,
    test: 'attention',
    from: 'found.sum[half][lane] * scale',
    to: 'found.sum[half][lane]',
  },
  {
    file: attention,
    test: 'attention',
    from: 'mixed[d][i] * own_scale + found',
    to: 'mixed[d][i] + found',
  },
  // Fragments, swizzles, tails
  {
    file: mma,
    test: 'linear',
    from: 'b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]',
    to: 'b[j / 2][j % 2], b[j / 2][j % 2 + 2]',
  },
  {
    file: mma,
    test: 'linear',
    from: 'swizzled(row, k * 2 + lane / 8 % 2)',
    to: 'swizzled(row, k * 2 + lane / 16)',
  },
  { file: mma, test: 'paths', from: '(chunk ^ (row & 7))', to: '(chunk ^ (row & 3))' },
  { file: mma, test: 'linear', from: 'left < 8 ? left : 8', to: '8' },
  { file: mma, test: 'linear', from: 'first_row + row < rows ?', to: 'first_row + row <= rows ?' },
  { file: attention, test: 'paths', from: '(kDim / 8 | 1) * 8', to: 'kDim' },
  {
    file: attention,
    test: 'attention',
    from: 'load_matrices_transposed(b,',
    to: 'load_matrices(b,',
  },
  {
    file: attention,
    test: 'attention',
    from: 'thread * 2 + i % 2 >= left',
    to: 'thread * 2 + i % 2 > left',
  },
  {
    file: attention,
    test: 'attention',
    from: 'row < rows && chunk * 8 < head_dim',
    to: 'chunk * 8 < head_dim',
  },
  {
    file: attention,
    test: 'attention',
    from: 'warp * 16 + row >= rows || chunk * 8 >= a.head_dim',
    to: 'chunk * 8 >= a.head_dim',
  },
  {
    file: attention,
    test: 'attention',
    from: 'warp * 16 + row >= rows || chunk * 8 >= a.head_dim',
    to: 'warp * 16 + row >= rows',
  },
  { file: attention, test: 'attention', from: '  __syncwarp();\n', to: '' },
  // Online softmax
  {
    file: attention,
    test: 'attention',
    from: 'sum[half] * rescale + powers',
    to: 'sum[half] + powers',
  },
  {
    file: attention,
    test: 'attention',
    from: 'most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));',
    to: '',
  },
  { file: attention, test: 'attention', from: 'mixed[d][2 * half + 1] *= rescale;', to: '' },
  {
    file: attention,
    test: 'attention',
    from: 'branch) * a.cache_heads + head) * a.positions',
    to: 'branch) * gridDim.y + head) * a.positions',
  },
  // Epilogue, cache scatter, split products
  {
    file: epilogue,
    source: mma,
    test: 'linear',
    from: 'if (i < columns) y[i].bits',
    to: 'y[i].bits',
  },
  {
    file: epilogue,
    source: mma,
    test: 'linear',
    from: 'if (i < columns) y[i] = v[i]',
    to: 'y[i] = v[i]',
  },
  {
    file: epilogue,
    source: mma,
    test: 'linear',
    from: 'if (rows.at[turn] < 0) continue;',
    to: '',
  },
  {
    file: epilogue,
    source: mma,
    test: 'linear',
    from: 'place(row, lane * 2 + 1)',
    to: 'place(row, lane * 2)',
  },
  {
    file: epilogue,
    source: mma,
    test: 'attention',
    from: '(m.cache.positions - 1) * m.cache.head_dim',
    to: 'm.cache.positions * m.cache.head_dim',
  },
  {
    file: epilogue,
    source: wgmma,
    test: 'linear',
    from: 'at + 8 * kColumns',
    to: 'at + 4 * kColumns',
  },
  { file: mma, test: 'linear', from: 'if (shared.last) m.tickets[tile] = 0;', to: '' },
  {
    file: mma,
    test: 'linear',
    from: '    __syncthreads();\n    if (threadIdx.x == 0) {\n      shared.last',
    to: '    if (threadIdx.x == 0) {\n      shared.last',
  },
  {
    file: mma,
    test: 'linear',
    from: 'atomic_add_acquire_release(&m.tickets[tile], 1) + 1',
    to: '(m.tickets[tile] += 1)',
  },
  // sm_90a: mbarriers, TMA, wgmma
  { file: wgmma, test: 'linear', from: 'mbarrier_wait(&shared.empty[stage], parity);', to: '' },
  {
    file: wgmma,
    test: 'linear',
    from: 'int stage = 0, parity = 1;',
    to: 'int stage = 0, parity = 0;',
  },
  { file: wgmma, test: 'linear', from: 'mbarrier_wait(&shared.full[stage], parity);', to: '' },
  {
    file: wgmma,
    test: 'linear',
    from: '(kRows + kColumns) * kStep * static_cast<int>(sizeof(T))',
    to: 'kRows * kStep * static_cast<int>(sizeof(T))',
  },
  {
    file: wgmma,
    test: 'linear',
    from: 'mbarrier_init(&shared.empty[stage], 4 * kConsumers);',
    to: 'mbarrier_init(&shared.empty[stage], 4 * kConsumers - 1);',
  },
  {
    file: wgmma,
    test: 'linear',
    from: '        wgmma_wait<1>();\n        __syncwarp();',
    to: '        __syncwarp();',
  },
  {
    file: wgmma,
    test: 'linear',
    from: '    mbarrier_init_fence();\n  }\n  __syncthreads();',
    to: '    mbarrier_init_fence();\n  }',
  },
  {
    file: wgmma,
    test: 'linear',
    from: '    barrier_sync(1 + consumer, 128);\n    wgmma_wait<0>();',
    to: '    wgmma_wait<0>();',
  },
  { file: wgmma, test: 'linear', from: '        --early;', to: '        early -= 2;' },
  { file: wgmma, test: 'linear', from: '      residual = next;\n', to: '' },
  { file: wgmma, test: 'linear', from: '+ k * 32;', to: '+ k * 16;' },
  {
    file: wgmma,
    test: 'linear',
    from: 'uint64_t{1024 >> 4} << 32',
    to: 'uint64_t{512 >> 4} << 32',
  },
  { file: wgmma, test: 'linear', from: 'step > 0 || k > 0', to: 'true' },
  {
    file: wgmma,
    test: 'linear',
    from: 'tile.row + consumer * 64 + warp * 16',
    to: 'tile.row + warp * 16',
  },
  // Sampling and revealing
  {
    file: 'sample.cu',
    test: 'sampling',
    from: '  __syncthreads();\n  if (threadIdx.x != 0) return;',
    to: '  if (threadIdx.x != 0) return;',
  },
  { file: 'sample.cu', test: 'sampling', from: 'other.token < token', to: 'other.token > token' },
  {
    file: 'sample.cu',
    test: 'sampling',
    from: 'fmaf(1.0f + d.guidance,',
    to: 'fmaf(d.guidance,',
  },
  {
    file: 'sample.cu',
    test: 'sampling',
    from: 'isnan(value) ? -INFINITY : value',
    to: 'value',
  },
  {
    file: 'sample.cu',
    test: 'sampling',
    from: 'other.sum * expf(other.largest - most)',
    to: 'other.sum',
  },
  {
    file: 'order.cuh',
    source: 'reveal.cu',
    test: 'sampling',
    from: '  __syncthreads();  // the sums of the call before have been read\n',
    to: '',
  },
  {
    file: 'reveal.cu',
    test: 'sampling',
    from: 'own == last && before < ties_left',
    to: 'own == last && before <= ties_left',
  },
  { file: 'reveal.cu', test: 'sampling', from: '    ties_left -= ties;\n', to: '' },
  // Rows
  {
    file: 'rows.cuh',
    source: 'layer_norm.cu',
    test: 'rows',
    from: 'v[i] = first + i < width ? v[i] : 0.0f;',
    to: 'v[i] = v[i] + 0.0f;',
  },
  {
    file: 'rows.cuh',
    source: 'layer_norm.cu',
    test: 'rows',
    from: 'sum_of_warp(squares) - beyond',
    to: 'sum_of_warp(squares)',
  },
  {
    file: 'select_rows.cu',
    test: 'rows',
    from: 'const unsigned before = (1u << lane) - 1;',
    to: 'const unsigned before = (2u << lane) - 1;',
  },
  {
    file: 'rows.cuh',
    source: 'gather.cu',
    test: 'rows',
    from: 'load(first, v);\n      store8(y + first, v, width - first);',
    to: 'load(first, v);\n      store8(y + first, v, 8);',
  },
  {
    file: 'embed.cu',
    test: 'rows',
    from: 'e.class_ids[branch]',
    to: 'e.class_ids[branch % e.samples]',
  },
  // The stream: recording, waiting, constants
  { file: 'stream.cu', test: 'decode', from: '  flops += found->second.flops;\n', to: '' },
  {
    file: 'stream.cu',
    test: 'paths',
    from: 'recordings_.try_emplace(key, device_)',
    to: 'recordings_.try_emplace("", device_)',
  },
  { file: mma, test: 'linear', from: '  wait_for_previous_grid();\n', to: '' },
];
