// What mutate.js plants: in `file` of native/cuda, `from` becomes `to`, and `source` is compiled anew with it.

/**
 * @typedef {object} Mutant
 * @property {string} file of native/cuda
 * @property {string} [source] that includes the file; the file itself where there is none
 * @property {'matmul' | 'products' | 'choose' | 'attention' | 'attention_sizes' | 'convolution' | 'rows' | 'sampling' | 'decode' | 'paths' | 'recordings' | 'registry'} test
 * @property {string} [by] the run that catches it, tried first
 * @property {string} from
 * @property {string} to
 */

// Instances in bf16 are tested on few multiprocessors, which take large tiles and no groups of warps; those in f16 of
// mma.sync and attention on many, which split products and share keys.
const mma = /** @type {const} */ ({
  file: 'matmul/mma.cuh',
  source: 'instances/mma_bf16.cu',
  test: 'matmul',
});
const mmaSplit = { ...mma, source: 'instances/mma_f16.cu' };
const wgmma = /** @type {const} */ ({
  file: 'matmul/wgmma.cuh',
  source: 'instances/wgmma_f16.cu',
  test: 'products',
});
const wgmmaEpilogue = { ...wgmma, file: 'matmul/wgmma_epilogue.cuh' };
const wgmmaNorm = { ...wgmma, file: 'matmul/wgmma_norm.cuh' };
const epilogue = /** @type {const} */ ({
  file: 'matmul/epilogue.cuh',
  source: 'instances/mma_bf16.cu',
  test: 'matmul',
});
const attention = /** @type {const} */ ({
  file: 'kernels/attention.cuh',
  source: 'instances/attention_small_bf16.cu',
  test: 'attention',
});
const attentionGroups = { ...attention, source: 'instances/attention_small_f16.cu' };
const attentionWgmma = /** @type {const} */ ({
  file: 'kernels/attention_wgmma.cuh',
  source: 'instances/attention_wgmma_f16.cu',
  test: 'attention_sizes',
});
const attentionShape = /** @type {const} */ ({ file: 'ops/attention_shape.cpp', test: 'paths' });
const sample = /** @type {const} */ ({
  file: 'kernels/sample.cuh',
  source: 'ops/sample.cu',
  test: 'sampling',
});
const reveal = /** @type {const} */ ({
  file: 'kernels/reveal.cuh',
  source: 'ops/sample.cu',
  test: 'sampling',
});
const revealGiven = /** @type {const} */ ({
  file: 'kernels/reveal_given.cuh',
  source: 'ops/reveal_given.cu',
  test: 'sampling',
});
const kthLargest = /** @type {const} */ ({
  file: 'kernels/kth_largest.cuh',
  source: 'ops/sample.cu',
  test: 'sampling',
});
const layerNorm = /** @type {const} */ ({
  file: 'kernels/layer_norm.cuh',
  source: 'ops/normalize.cu',
  test: 'rows',
});
const normalize = { ...layerNorm, file: 'kernels/normalize.cuh' };
const qkNorm = /** @type {const} */ ({
  file: 'kernels/qk_norm.cuh',
  source: 'ops/project_qkv.cu',
  test: 'attention',
});
const softmax = /** @type {const} */ ({
  file: 'kernels/softmax.cuh',
  source: 'ops/softmax.cu',
  test: 'rows',
});
const selectRows = /** @type {const} */ ({
  file: 'kernels/select_rows.cuh',
  source: 'ops/embed.cu',
  test: 'rows',
});
const embedding = /** @type {const} */ ({
  file: 'kernels/embedding.cuh',
  source: 'ops/embed.cu',
  test: 'rows',
});
const convolution = /** @type {const} */ ({
  file: 'ops/convolution.cu',
  test: 'convolution',
});
const statistics = /** @type {const} */ ({
  file: 'kernels/group_statistics.cuh',
  source: 'ops/group_statistics.cu',
  test: 'convolution',
});
const wideAttention = /** @type {const} */ ({
  file: 'kernels/wide_attention.cuh',
  source: 'instances/attention_wide_bf16.cu',
  test: 'attention',
});
const stream = /** @type {const} */ ({ file: 'cuda_stream.cu', test: 'recordings' });
const registry = /** @type {const} */ ({ file: 'matmul/registry.cpp', test: 'registry' });
const put = /** @type {const} */ ({
  file: 'kernels/put.cuh',
  source: 'ops/put.cu',
  test: 'recordings',
});

/**
 * Bugs of the kinds that CUDA kernels suffer from: see the headings.
 * @type {Mutant[]}
 */
export const mutants = [
  // Asynchronous copies and barriers
  { ...mma, from: 'copy_async_wait<kStages - 2>();', to: 'copy_async_wait<kStages - 1>();' },
  { ...mma, from: '    copy_async_wait<kStages - 2>();\n', to: '' },
  { ...mma, from: '    __syncthreads();  // this step', to: '    // this step' },
  {
    ...mma,
    from: 'if (step < last_step) load_x(step);\n    copy_async_commit();',
    to: 'if (step < last_step) load_x(step);',
  },
  {
    ...mma,
    from: 'shared.x[(step - first_step) % kStages], x,',
    to: 'shared.x[(step - first_step + 1) % kStages], x,',
  },
  { ...attention, from: 'copy_async_wait<1>();', to: 'copy_async_wait<2>();' },
  {
    ...attention,
    from: '    meet();  // the next load but one',
    to: '    // the next load but one',
  },
  {
    ...attention,
    from: '      copy_async_wait<0>();\n    }\n    meet();',
    to: '      copy_async_wait<0>();\n    }',
  },
  {
    ...attention,
    from: 'const T* value_tile = shared.values[slot];',
    to: 'const T* value_tile = shared.values[0];',
  },
  // Groups of warps that share keys
  { ...attentionGroups, from: '    copy_async_wait<0>();  // of a group without keys\n', to: '' },
  {
    ...attentionGroups,
    from: '    __syncthreads();\n    if (own_group > 0 || !active) return;',
    to: '    if (own_group > 0 || !active) return;',
  },
  { ...attentionGroups, from: 'if (first < step) {', to: 'if (first == 0) {' },
  { ...attentionGroups, from: 'partial.sum[half][lane] * scale', to: 'partial.sum[half][lane]' },
  { ...attentionGroups, from: 'mixed[d][i] * own_scale + partial', to: 'mixed[d][i] + partial' },
  // Fragments, swizzles, tails
  {
    ...mma,
    from: 'b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]',
    to: 'b[j / 2][j % 2], b[j / 2][j % 2 + 2]',
  },
  {
    ...mma,
    from: 'mma_swizzled(row, k * 2 + lane / 8 % 2)',
    to: 'mma_swizzled(row, k * 2 + lane / 16)',
  },
  { ...mma, test: 'paths', from: '(chunk ^ (row & 7))', to: '(chunk ^ (row & 3))' },
  { ...mma, from: 'left < 8 ? left : 8', to: '8' },
  { ...mma, from: 'first_row + row < rows ?', to: 'first_row + row <= rows ?' },
  {
    ...attention,
    file: 'kernels/attention.h',
    test: 'paths',
    from: '(dim / 8 | 1) * 8',
    to: 'dim',
  },
  { ...attention, from: 'load_matrices_transposed(b,', to: 'load_matrices(b,' },
  { ...attention, from: 'thread * 2 + i % 2 >= left', to: 'thread * 2 + i % 2 > left' },
  { ...attention, from: 'row < rows && chunk * 8 < head_dim', to: 'chunk * 8 < head_dim' },
  {
    ...attention,
    from: 'warp * 16 + row >= rows || chunk * 8 >= a.head_dim',
    to: 'chunk * 8 >= a.head_dim',
  },
  {
    ...attention,
    from: 'warp * 16 + row >= rows || chunk * 8 >= a.head_dim',
    to: 'warp * 16 + row >= rows',
  },
  { ...attention, from: '  __syncwarp();\n', to: '' },
  // Online softmax
  { ...attention, from: 'sum[half] * rescale + powers', to: 'sum[half] + powers' },
  {
    ...attention,
    file: 'kernels/attention_block.cuh',
    from: 'fmaxf(most, __shfl_xor_sync(~0u, most, 2))',
    to: 'most',
  },
  { ...attention, from: 'mixed[d][2 * half + 1] *= rescale;', to: '' },
  {
    ...attention,
    file: 'kernels/attention_block.cuh',
    from: 'branch * a.cache_heads + head',
    to: 'branch * gridDim.y + head',
  },
  // Attention by wgmma: one pass, or one after the other
  { ...attentionWgmma, from: ' - offset[i / 2]', to: '' },
  { ...attentionWgmma, from: ' - offset[i / 2]', to: ' - offset[0]' },
  { ...attentionWgmma, from: 'if (left >= end * 8) return;', to: 'if (left > 0) return;' },
  { ...attentionWgmma, from: 'thread * 2 + i % 2 >= left', to: 'thread * 2 + i % 2 > left' },
  {
    ...attentionWgmma,
    from: 'shared.values_here[part], parity',
    to: 'shared.values_here[0], parity',
  },
  { ...attentionWgmma, from: 'shared.keys_here[half], parity', to: 'shared.keys_here[0], parity' },
  { ...attentionWgmma, from: '          sum[half] *= rescale;\n', to: '' },
  { ...attentionWgmma, from: '            mixed[d * 4 + 2 * half + 1] *= rescale;\n', to: '' },
  { ...attentionWgmma, from: '        largest[half] = most;\n', to: '' },
  { ...attentionWgmma, from: 'first > 0 || step > 0', to: 'step > 0' },
  { ...attentionWgmma, from: ', parity ^= 1) {', to: ') {' },
  { ...attentionWgmma, from: 'left > kWgmmaKeys;', to: 'left >= kWgmmaKeys;' },
  { ...attentionWgmma, from: 'half * kWgmmaHalfKeys, unit', to: 'half * kWgmmaHalfKeys, head' },
  {
    ...attentionWgmma,
    source: 'instances/attention_wgmma_bf16.cu',
    file: 'kernels/attention_block.cuh',
    from: 'branch * a.cache_heads + head',
    to: 'branch * gridDim.y + head',
  },
  {
    ...attentionWgmma,
    file: 'tensor_map.cpp',
    source: 'tensor_map.cpp',
    from: 'row * static_cast<cuuint64_t>(rows)',
    to: 'row * kBoxColumns',
  },
  {
    ...attentionWgmma,
    file: 'ops/attention.cu',
    source: 'ops/attention.cu',
    from: 'attention_maps(arguments, rows.count,',
    to: 'attention_maps(arguments, rows.most,',
  },
  {
    ...attentionWgmma,
    by: 'tsan forward lazy',
    from: '      mbarrier_wait(&shared.keys_read, parity);\n',
    to: '',
  },
  {
    ...attentionWgmma,
    by: 'tsan forward lazy',
    from: '      mbarrier_wait(&shared.values_read, parity);\n',
    to: '',
  },
  {
    ...attentionWgmma,
    from: 'expecting(&here[half], sizeof(tile[half]))',
    to: 'expecting(&here[half], 1024)',
  },
  {
    ...attentionWgmma,
    from: '    mbarrier_init_fence();\n  }\n  __syncthreads();',
    to: '    mbarrier_init_fence();\n  }',
  },
  {
    ...attentionWgmma,
    from: '    wgmma_wait<0>();\n    wgmma_results(score[0]);',
    to: '    wgmma_results(score[0]);',
  },
  {
    ...attentionWgmma,
    from: 'shared.values_here[part], parity);\n      wgmma_fence();',
    to: 'shared.values_here[part], parity);',
  },
  { ...attentionWgmma, from: 'if (rows <= 0) return;', to: 'if (warp * 16 >= rows) return;' },
  { ...attentionWgmma, from: '*high = fragment(2 * step + 1)', to: '*high = fragment(2 * step)' },
  {
    ...attentionWgmma,
    from: 'wgmma<T, kWgmmaHalfKeys>(score[half],',
    to: 'wgmma<T, kWgmmaHalfKeys>(score[0],',
  },
  {
    ...attentionWgmma,
    file: 'ptx/operand.cuh',
    from: 'shared_address(tile) + k * 2048',
    to: 'shared_address(tile) + k * 1024',
  },
  { ...attentionWgmma, from: 'if (row >= rows) continue;', to: '' },
  {
    ...attentionWgmma,
    by: 'tsan forward lazy',
    from: '  __syncwarp();\n#pragma unroll',
    to: '#pragma unroll',
  },
  {
    ...attentionShape,
    from: 'p.multiprocessors / p.heads,',
    to: 'p.multiprocessors / p.heads + 1,',
  },
  { ...attentionShape, from: 'most_sharing_warps(dim) / block_warps', to: 'most_groups(dim)' },
  {
    ...attentionShape,
    from: 'if (few * p.heads >= p.multiprocessors) return',
    to: 'if (few > 1) return',
  },
  {
    ...attentionShape,
    from: 'p.block_shared / static_cast<int>(attention_group_bytes(dim, rows))',
    to: 'most_groups(dim)',
  },
  // Epilogue, cache scatter, split products
  { ...epilogue, from: 'if (i < columns) y[i].bits', to: 'y[i].bits' },
  { ...epilogue, from: 'if (i < columns) y[i] = v[i]', to: 'y[i] = v[i]' },
  { ...epilogue, from: 'if (rows.at[turn] < 0) continue;', to: '' },
  { ...epilogue, from: 'swizzled_chunk(row, lane * 2 + 1)', to: 'swizzled_chunk(row, lane * 2)' },
  {
    ...epilogue,
    test: 'attention',
    from: '(m.cache.positions - 1) * m.cache.head_dim',
    to: 'm.cache.positions * m.cache.head_dim',
  },
  {
    ...epilogue,
    from: 'm.cache.row_index[row] / m.cache.positions',
    to: 'm.cache.row_index[first_row] / m.cache.positions',
  },
  { ...epilogue, from: 'x = tanh_approximate(x);', to: 'x = tanh_approximate(2.0f * x);' },
  { ...epilogue, from: 'at + 8 * kColumns', to: 'at + 4 * kColumns' },
  { ...mmaSplit, from: 'if (shared.last) m.tickets[tile] = 0;', to: '' },
  {
    ...mmaSplit,
    from: '    __syncthreads();\n    if (threadIdx.x == 0) {\n      shared.last',
    to: '    if (threadIdx.x == 0) {\n      shared.last',
  },
  {
    ...mmaSplit,
    from: 'atomic_add_acquire_release(&m.tickets[tile], 1) + 1',
    to: '(m.tickets[tile] += 1)',
  },
  // sm_90a: mbarriers, TMA, wgmma
  {
    ...wgmma,
    from: 'step < steps; ++step) {\n      mbarrier_wait(&shared.empty[place.stage], place.parity);',
    to: 'step < steps; ++step) {',
  },
  { ...wgmma, from: 'place{0, 1};', to: 'place{0, 0};' },
  {
    ...wgmma,
    from: 'mbarrier_wait(&shared.full[place.stage], place.parity);\n      wgmma_fence();',
    to: 'wgmma_fence();',
  },
  { ...wgmma, from: 'kShape.stage_bytes());', to: 'kShape.stage_bytes() / 2);' },
  { ...wgmma, from: '4 * kGroups);  // one arrival', to: '4 * kGroups - 1);  // one arrival' },
  { ...wgmma, from: '      wgmma_wait<1>();\n', to: '' },
  {
    ...wgmma,
    from: '  } else {\n    __syncthreads();\n  }',
    to: '  }',
  },
  { ...wgmma, from: '        --early;', to: '        early -= 2;' },
  {
    ...wgmma,
    file: 'ptx/operand.cuh',
    from: 'swizzled_operand(shared_address(tile)) + k * 2;',
    to: 'swizzled_operand(shared_address(tile)) + k;',
  },
  {
    ...wgmma,
    file: 'ptx/operand.cuh',
    from: 'uint64_t{1024 >> 4} << 32',
    to: 'uint64_t{512 >> 4} << 32',
  },
  { ...wgmma, from: '!first || k > 0', to: 'true' },
  { ...wgmma, from: 'slot.left + group * 64 * kMatmulStep', to: 'slot.left' },
  {
    ...wgmma,
    from: 'step / of_tap * m.in + step % of_tap * kMatmulStep',
    to: 'step * kMatmulStep',
  },
  // The way out by slots of the ring and TMA
  { ...wgmma, from: '      tma_store_wait_read<0>();\n', to: '' },
  {
    ...wgmma,
    from: 'stage_before(1 + kGroups - group)',
    to: 'stage_before(kGroups - group)',
  },
  {
    ...wgmma,
    by: 'tsan forward lazy',
    from: '      proxy_fence();\n      output.meet();\n      if (thread',
    to: '      output.meet();\n      if (thread',
  },
  { ...wgmma, from: '      output.meet();\n      if (thread', to: '      if (thread' },
  {
    ...wgmma,
    from: '      mbarrier_wait(&shared.full[place.stage], place.parity);\n      __syncwarp();',
    to: '      __syncwarp();',
  },
  {
    ...wgmma,
    from: '++group) {\n      mbarrier_wait(&shared.empty[place.stage], place.parity);',
    to: '++group) {',
  },
  {
    ...wgmma,
    from: '      if (of_group != group && lane == 0) mbarrier_arrive(&shared.empty[place.stage]);\n',
    to: '',
  },
  { ...wgmma, from: '    going_out = false;\n', to: '' },
  { ...wgmma, from: '  if (thread == 0) tma_store_wait<0>();\n', to: '' },
  {
    ...wgmma,
    from: '        output.gather_rows(slot);\n        output.meet();',
    to: '        output.gather_rows(slot);',
  },
  {
    ...wgmma,
    by: 'plain random lazy',
    from: '      output.scatter_rows(slot);\n      __syncwarp();',
    to: '      output.scatter_rows(slot);',
  },
  {
    ...wgmmaEpilogue,
    from: '        store_matrices_transposed(row, now);',
    to: '        store_matrices(row, now);',
  },
  {
    ...wgmmaEpilogue,
    from: '          load_matrices_transposed(old, row);',
    to: '          load_matrices(old, row);',
  },
  { ...wgmmaEpilogue, from: 'pair < (kRight + 15) / 16', to: 'pair < kRight / 16' },
  { ...wgmmaEpilogue, from: '(chunk % 8 ^ row % 8) * 8', to: 'chunk % 8 * 8' },
  { ...wgmmaEpilogue, from: 'row < m_.rows ? row_offset', to: 'row <= m_.rows ? row_offset' },
  { ...wgmmaEpilogue, from: 'scale(x_row + 1, out)', to: 'scale(x_row, out)' },
  {
    ...wgmmaEpilogue,
    from: '    meet();\n  }\n\n  __device__ __forceinline__ void activate',
    to: '  }\n\n  __device__ __forceinline__ void activate',
  },
  {
    ...wgmmaEpilogue,
    by: 'tsan forward lazy',
    from: '    meet();  // the biases',
    to: '    // the biases',
  },
  {
    ...wgmmaEpilogue,
    from: '(kSwapped ? group : box) * 64',
    to: '(kSwapped ? 0 : box) * 64',
  },
  {
    ...wgmma,
    file: 'matmul/wgmma_maps.cpp',
    source: 'matmul/wgmma_maps.cpp',
    from: 'm.rows, m.out, m.y_stride, box_rows',
    to: 'm.rows + 1, m.out, m.y_stride, box_rows',
  },
  {
    ...wgmma,
    file: 'matmul/wgmma_maps.cpp',
    source: 'matmul/wgmma_maps.cpp',
    from: 'm.rows, m.out, m.y_stride, box_rows',
    to: 'm.rows, m.out + 1, m.y_stride, box_rows',
  },
  {
    ...wgmma,
    file: 'matmul/choose.cpp',
    source: 'matmul/choose.cpp',
    test: 'choose',
    from: 'bytes * busy / kAllPorts',
    to: 'bytes / kAllPorts',
  },
  // Norms of rows that the blocks of a cluster share
  { ...wgmmaNorm, from: 'mean += distance * share;', to: 'mean += distance * 0.5f;' },
  { ...wgmmaNorm, from: 'part.y + distance * distance * count * share;', to: 'part.y;' },
  { ...wgmmaNorm, from: 'turn / 2 % 2', to: 'turn % 2' },
  {
    ...wgmmaNorm,
    from: '  Output::meet();\n  const int boxes',
    to: '  const int boxes',
  },
  {
    ...wgmmaNorm,
    from: '  mbarrier_wait_for_cluster(&moments.here[turn % 2], turn / 2 % 2);\n',
    to: '',
  },
  { ...wgmmaNorm, from: 'kBoxes], box / Moments::kBoxes', to: 'kBoxes], 0' },
  { ...wgmmaNorm, from: 'squares / count + m.norm.epsilon', to: 'squares / count' },
  { ...wgmmaNorm, from: '* weight[i] + bias[i]', to: '* weight[i]' },
  { ...wgmmaNorm, from: 'sum += chunk * 8 + i < columns ? v[i] : 0.0f;', to: 'sum += v[i];' },
  {
    ...wgmmaNorm,
    from: 'm.norm.kind == NormKind::layer_norm ? sum_of_eight(sum) * share : 0.0f',
    to: 'sum_of_eight(sum) * share',
  },
  { ...wgmmaNorm, from: 'moments.of_rows[group][row] =', to: 'moments.of_rows[0][row] =' },
  {
    ...wgmmaNorm,
    from: 'of_boxes[row_of_tile + row][kSwapped',
    to: 'of_boxes[row][kSwapped',
  },
  { ...wgmmaNorm, from: 'kSwapped ? group : box] =', to: 'kSwapped ? 0 : box] =' },
  {
    ...wgmmaNorm,
    by: 'tsan forward lazy',
    from: '  Output::meet();\n\n#pragma',
    to: '\n#pragma',
  },
  { ...wgmmaNorm, from: 'if (thread < blocks)', to: 'if (thread == 0)' },
  { ...wgmmaNorm, from: 'int lanes = 4;', to: 'int lanes = 2;' },
  {
    ...wgmma,
    from: '  if (m.norm.weight != nullptr) cluster_barrier();  // others may',
    to: '  // others may',
  },
  {
    ...wgmma,
    by: 'tsan forward lazy',
    from: 'cluster_barrier();  // others arrive',
    to: '__syncthreads();  // others arrive',
  },
  { ...wgmma, from: 'kGroups * blocks_of_row', to: 'blocks_of_row' },
  {
    ...wgmma,
    by: 'tsan forward lazy',
    from: '        output.meet();\n        normalize_staged',
    to: '        normalize_staged',
  },
  { ...wgmma, from: 'slot, index / gridDim.x)', to: 'slot, 0)' },
  {
    ...wgmma,
    file: 'matmul/choose.cpp',
    source: 'matmul/choose.cpp',
    test: 'choose',
    from: '<= kMostClusterBlocks',
    to: '<= 2 * kMostClusterBlocks',
  },
  {
    file: 'ops/matmul.cu',
    test: 'matmul',
    from: 'in_place ? &norm.norm : nullptr',
    to: '&norm.norm',
  },
  {
    file: 'ops/multiply.cu',
    test: 'paths',
    from: '  if (!normalizes) problem.norm = {};\n',
    to: '',
  },
  // Sampling and revealing
  {
    ...sample,
    from: '  __syncthreads();\n  if (threadIdx.x != 0) return;',
    to: '  if (threadIdx.x != 0) return;',
  },
  { ...sample, from: 'other.token < token', to: 'other.token > token' },
  { ...sample, from: 'fmaf(1.0f + settings.guidance,', to: 'fmaf(settings.guidance,' },
  { ...sample, from: '  if (settings.confidence == Confidence::turn) return;\n', to: '' },
  { ...sample, from: 'expf(logit - log_sum)', to: 'expf(logit)' },
  { ...sample, from: 'part * a.codebook_size + best.token', to: 'best.token' },
  { ...sample, from: 'static_cast<uint32_t>(own)', to: 'static_cast<uint32_t>(position)' },
  { ...sample, from: 'isnan(value) ? -INFINITY : value', to: 'value' },
  { ...sample, from: '    faulty |= other.faulty;\n', to: '' },
  { ...sample, from: 'fabsf(value) == INFINITY', to: 'value == INFINITY' },
  { ...sample, from: 'best.faulty != 0 && fault == kNoFault', to: 'best.faulty != 0' },
  { ...sample, from: 'other.sum * expf(other.largest - most)', to: 'other.sum' },
  {
    ...kthLargest,
    from: '  __syncthreads();  // the sums of the call before have been read\n',
    to: '',
  },
  {
    ...reveal,
    from: 'own == last && before < ties_left',
    to: 'own == last && before <= ties_left',
  },
  { ...reveal, from: '    ties_left -= ties;\n', to: '' },
  { ...reveal, from: 'r.masked_after[sample]', to: 'r.masked_after[0]' },
  // Drawing and revealing at once
  { ...sample, from: 'rows * a.sub_tokens;', to: 'rows;' },
  { ...sample, from: '    if (shared.last) tickets[sample] = 0;\n', to: '' },
  {
    ...sample,
    by: 'tsan forward lazy',
    from: 'atomic_add_acquire_release(&tickets[sample], 1)',
    to: '(tickets[sample] += 1) - 1',
  },
  {
    ...sample,
    by: 'tsan forward lazy',
    from: "  __syncthreads();  // no thread of the block reads the sample's state any more\n",
    to: '',
  },
  {
    ...sample,
    from: '  __syncthreads();\n  if (shared.last) reveal(',
    to: '  if (shared.last) reveal(',
  },
  { ...sample, from: 'sample = at / a.positions;', to: 'sample = drawing % a.samples;' },
  {
    ...sample,
    from: 'static_cast<unsigned>(last);',
    to: 'static_cast<unsigned>(last) - 1;',
  },
  { ...sample, from: 'if (shared.last) reveal(', to: 'if (drawing < 0) reveal(' },
  { ...sample, file: 'ops/sample.cu', from: 'op.samples + arguments', to: 'arguments' },
  { ...sample, file: 'ops/sample.cu', from: 'tickets(op.samples)', to: 'tickets(1)' },
  {
    ...stream,
    from: '    tickets_.push_back(',
    to: '    tickets_.clear();\n    tickets_.push_back(',
  },
  { ...revealGiven, from: 'state == kMasked && token >= 0', to: 'state == kMasked' },
  { ...revealGiven, from: '    state = kKnown;\n', to: '' },
  // Rows: norms, embeddings, lists
  { ...layerNorm, from: 'v[i] = first + i < columns ? v[i] : 0.0f;', to: 'v[i] = v[i] + 0.0f;' },
  { ...layerNorm, from: 'sum_of_warp(squares) - beyond', to: 'sum_of_warp(squares)' },
  { ...layerNorm, from: 'norm.kind == NormKind::layer_norm ? ', to: 'columns > 0 ? ' },
  { ...normalize, from: 'branch * m.shift_stride', to: 'branch * m.weight_stride' },
  {
    ...layerNorm,
    file: 'kernels/rows.cuh',
    by: 'asan forward lazy',
    from: 'reinterpret_cast<uintptr_t>(p) % 16 == 0',
    to: 'reinterpret_cast<uintptr_t>(p) % 4 == 0',
  },
  { ...softmax, from: 'largest = fmaxf(largest, x[i])', to: 'largest = fmaxf(x[i], 0.0f)' },
  {
    ...softmax,
    from: 'const float scale = 1.0f / sum_of_warp(sum)',
    to: 'const float scale = 1.0f / sum',
  },
  { ...softmax, from: 'first += 32 * 8', to: 'first += 32 * 16' },
  // QK norm, where queries and keys lie
  { ...qkNorm, from: 'branch * a.cache_heads', to: 'branch * a.heads' },
  { ...qkNorm, from: '    between_heads *= a.positions;\n', to: '' },
  { ...qkNorm, from: 'sum_of_warp(squares)', to: 'squares' },
  // Heads with zeros between them
  {
    ...qkNorm,
    from: 'static_cast<float>(a.heads * a.head_dim)',
    to: 'static_cast<float>(columns)',
  },
  {
    file: 'ops/attention.cu',
    test: 'attention',
    from: 'std::sqrt(static_cast<float>(op.head_dim))',
    to: 'std::sqrt(static_cast<float>(head_stride(op.head_dim)))',
  },
  { file: 'ops/matmul.cu', test: 'attention', from: 'layer.inputs(op.in)', to: 'op.in' },
  {
    file: 'memory.cpp',
    test: 'attention',
    from: 'values(static_cast<size_t>(rows_) * stride_);',
    to: 'values(static_cast<size_t>(rows_) * stride_, 0x3c00);',
  },
  { ...selectRows, from: 'return sum - value;', to: 'return sum;' },
  { ...selectRows, from: 'if (lane >= lanes) sum += before;', to: 'sum += before;' },
  { ...selectRows, from: '(positions + 31) / 32', to: 'positions / 32' },
  {
    ...layerNorm,
    source: 'ops/gather.cu',
    from: 'load(first, v);\n      store8(y + first, v, columns - first);',
    to: 'load(first, v);\n      store8(y + first, v, 8);',
  },
  { ...embedding, from: 'e.first_ids + branch', to: 'e.first_ids + branch % e.samples' },
  { ...embedding, from: 'ids[more]', to: 'ids[0]' },
  { ...embedding, source: 'ops/lookup.cu', from: 'row % l.sequence', to: 'row % l.rows' },
  { ...selectRows, from: 'state[i] == kMasked && turn', to: 'state[i] != kKnown && turn' },
  { ...selectRows, from: 'rows_left-- > 0', to: 'rows_left > 0' },
  { ...selectRows, from: 'logits_left-- > 0', to: 'logits_left > 0' },
  {
    ...selectRows,
    from: 'sum_of_warp(more_rows) - sum_before(idle)',
    to: 'sum_of_warp(more_rows)',
  },
  {
    ...selectRows,
    from: 'sum_of_warp(more_logits) - sum_before(may_fill)',
    to: 'sum_of_warp(more_logits)',
  },
  // Selecting and embedding at once
  {
    ...selectRows,
    from: 's.row_offsets[first + lane + 1] <= row',
    to: 's.row_offsets[first + lane + 1] < row',
  },
  {
    ...selectRows,
    from: 'for (int first = 0; first < s.branches;',
    to: 'for (int first = 0; first < 32;',
  },
  { ...selectRows, from: 'if (own == row) at = ', to: 'if (own <= row) at = ' },
  { ...selectRows, from: 'return sum_of_warp(at);', to: 'return at;' },
  {
    ...embedding,
    from: 'if (row < e.rows) embed_at<T>(e, row, select_row(s, row));',
    to: 'embed_at<T>(e, row, select_row(s, row));',
  },
  {
    ...embedding,
    from: 'const __grid_constant__ EmbedArguments e) {\n  wait_for_previous_grid();\n  let_next_grid_start();\n  const int row = row_of_warp();\n  if (row < e.rows) embed_at<T>(e, row, select_row(s, row));',
    to: 'const __grid_constant__ EmbedArguments e) {\n  const int row = row_of_warp();\n  if (row < e.rows) embed_at<T>(e, row, select_row(s, row));',
  },
  {
    ...embedding,
    file: 'ops/embed.cu',
    from: 'divide_up(then.rows.count, kRowsOfBlock)',
    to: 'divide_up(then.rows.count, 2 * kRowsOfBlock)',
  },
  { ...selectRows, from: '>= masked_after', to: '> masked_after' },
  { ...selectRows, from: 's.masked_after[sample]', to: 's.masked_after[0]' },
  {
    ...mma,
    file: 'ops/matmul.cu',
    source: 'ops/matmul.cu',
    from: 'if (normalizes_residual) normalize(',
    to: 'if (false) normalize(',
  },
  // Convolutions, group norms, wide heads
  {
    ...convolution,
    file: 'kernels/picture.cuh',
    source: 'ops/convolution.cu',
    from: '    --column;\n',
    to: '',
  },
  {
    ...convolution,
    from: '(line % 2 * 2 + column % 2) * of_part',
    to: '(line % 2 + column % 2 * 2) * of_part',
  },
  { ...mma, test: 'convolution', from: 'if (first_in >= m.in)', to: 'if (first_in > m.in)' },
  {
    ...epilogue,
    test: 'convolution',
    from: 'if (column >= p.width || line >= p.height) return -1;',
    to: 'if (line >= p.height) return -1;',
  },
  {
    ...statistics,
    from: '  __syncthreads();\n\n  const int of_group',
    to: '  const int of_group',
  },
  { ...statistics, from: 'distance * distance * a.count * share', to: '0.0f' },
  {
    ...wideAttention,
    from: '    __syncthreads();  // nobody reads the values and the scores any more\n',
    to: '',
  },
  {
    ...wideAttention,
    from: 'first + key < a.positions ? value : -INFINITY',
    to: 'value',
  },
  // The stream: recording, scratch memory, numbers in its order
  { ...stream, test: 'decode', from: '  flops_ += found->second.flops;\n', to: '' },
  {
    ...stream,
    from: 'recordings_.try_emplace(shape, ',
    to: 'recordings_.try_emplace(StepShape{}, ',
  },
  {
    ...stream,
    from: '    scratch_.push_back(',
    to: '    scratch_.clear();\n    scratch_.push_back(',
  },
  { ...put, from: '  wait_for_previous_grid();  // which', to: '  // which' },
  { ...put, file: 'ops/put.cu', from: '+ done, used, now}', to: ', used, now}' },
  { ...put, file: 'ops/put.cu', from: '      used += now;\n', to: '' },
  {
    ...put,
    file: 'ops/put.cu',
    from: 'arguments.run_count == PutArguments::kMostRuns || ',
    to: '',
  },
  { ...mma, from: '  wait_for_previous_grid();\n', to: '' },
  // Waiting for the step before the last
  {
    ...stream,
    from: '  check(cudaEventSynchronize(ended), "waiting for the device");\n',
    to: '',
  },
  { ...stream, from: '(next_ended_ + 1) % kMostUnderWay', to: '0' },
  // Who chooses tiles
  { ...registry, from: 'is_convolution(m) || ', to: '' },
  { ...registry, from: ' || normalizes(formula)', to: '' },
  { ...registry, from: 'm.taps > 1 || ', to: '' },
  { ...registry, from: '.splits == 1) {', to: '.splits >= 1) {' },
  {
    ...registry,
    from: '  for (const MatmulChoice& choice : same_bits_as(formula)) {',
    to: '  for (const MatmulChoice& choice : {formula}) {',
  },
  { ...registry, from: '+ kRowsOfShape - 1) /', to: '+ kRowsOfShape) /' },
  { ...registry, from: '  if (reads_y(m)) return ProductEnd::adds;\n', to: '' },
  { ...registry, from: 'm.products = shape.products;', to: 'm.products = 1;' },
  { ...registry, from: 'met_.insert(shape)', to: 'met_ = {shape}' },
  {
    ...registry,
    file: 'ops/time_tiles.cu',
    from: 'graphs.size() == 1, {}}',
    to: 'graphs.size() > 1, {}}',
  },
];

/**
 * Changes that are no bugs: another name, another order of integers that are added, a comparison that says the same.
 * Each must survive every run, or what catches the bugs is not their doing.
 * @type {Mutant[]}
 */
export const controls = [
  {
    ...kthLargest,
    source: 'ops/sample.cu',
    from: '    int own = 0;\n    for (int i = threadIdx.x; i < count; i += kThreads) own += order(i) >= candidate;\n    if (sum_of_block<kThreads>(own, sums) >= k)',
    to: '    int counted = 0;\n    for (int i = threadIdx.x; i < count; i += kThreads) counted += order(i) >= candidate;\n    if (sum_of_block<kThreads>(counted, sums) >= k)',
  },
  {
    ...selectRows,
    from: 'branch * (s.tokens + 1) + position',
    to: 'position + (1 + s.tokens) * branch',
  },
  { ...sample, from: 'if (drawing >= 0) {', to: 'if (drawing > -1) {' },
  { ...attentionGroups, from: 'if (rows <= 0) return;', to: 'if (rows < 1) return;' },
  {
    ...attentionWgmma,
    from: 'const bool more = left > kWgmmaKeys;',
    to: 'const bool more = first + kWgmmaKeys < a.positions;',
  },
  {
    ...wgmma,
    source: 'instances/wgmma_bf16.cu',
    from: '!first || k > 0',
    to: '!(first && k == 0)',
  },
  {
    ...wgmmaNorm,
    from: 'of_boxes[row_of_tile + row][kSwapped',
    to: 'of_boxes[row + row_of_tile][kSwapped',
  },
  { ...put, from: 'run < p.run_count', to: 'run != p.run_count' },
];
