#include <cmath>

#include "../cuda_stream.h"
#include "../kernels/attention_wgmma.h"
#include "../tensor_map.h"
#include "attention_shape.h"

namespace magnets::cuda {

namespace {

template <class T>
AttentionKernel mma_kernel_for(int head_dim, bool shared_keys) {
  switch (kernel_dim(head_dim)) {
    case 16:
      return attention_kernel_for<T, 16>(shared_keys);
    case 32:
      return attention_kernel_for<T, 32>(shared_keys);
    case 64:
      return attention_kernel_for<T, 64>(shared_keys);
    case 80:
      return attention_kernel_for<T, 80>(shared_keys);
    case 96:
      return attention_kernel_for<T, 96>(shared_keys);
    default:
      return attention_kernel_for<T, kMostHeadDim>(shared_keys);
  }
}

AttentionMaps attention_maps(const AttentionArguments& a, int rows, int heads, int branches, ComputeType compute) {
  const int cached = branches * a.cache_heads;
  return {matrix_map(a.q, rows, heads * a.head_dim, a.q_stride, kWgmmaQueries, compute),
          stack_map(a.keys, cached, a.positions, a.head_dim, kWgmmaHalfKeys, compute),
          stack_map(a.values, cached, a.positions, a.head_dim, kWgmmaHalfKeys, compute)};
}

}  // namespace

void CudaStream::do_run(const Attention& op) {
  const Rows& rows = op.rows;
  if (rows.most == 0) return;
  const CudaKvCache& cache = cuda(op.cache);
  const AttentionArguments arguments{
      .q = cuda(op.q).as<void>(),
      .q_stride = cuda(op.q).stride(),
      .row_offsets = cuda(rows.offsets).as<int>(),
      .keys = cache.keys(op.layer),
      .values = cache.values(op.layer),
      .positions = cache.positions(),
      .cache_heads = cache.heads(),
      .head_dim = head_stride(op.head_dim),  // as heads lie, with the zeros after them
      .scale = 1.44269504f / std::sqrt(static_cast<float>(op.head_dim)),
      .out = cuda(op.out).as<void>(),
      .out_stride = cuda(op.out).stride(),
  };
  const AttentionShape shape = attention_shape({.head_dim = arguments.head_dim,
                                                .most_rows = rows.most,
                                                .heads = op.heads * rows.branches,
                                                .capability = device_->capability(),
                                                .multiprocessors = device_->multiprocessors(),
                                                .block_shared = device_->block_shared()});
  const dim3 grid = grid_of(divide_up(rows.most, shape.rows), op.heads, rows.branches);
  with_compute_type([&]<class T>(T) {
    switch (shape.path) {
      case AttentionPath::wgmma: {
        const WgmmaAttentionKernel kernel = wgmma_attention_kernel<T>();
        launch(kernel.function, grid, kernel.threads, kernel.shared,
               attention_maps(arguments, rows.count, op.heads, rows.branches, compute_), arguments);
        break;
      }
      case AttentionPath::wide:
        launch(wide_attention_kernel_for<T>(), grid, kWideWarps * 32, wide_attention_bytes(arguments.head_dim),
               arguments);
        break;
      case AttentionPath::mma:
        launch(mma_kernel_for<T>(arguments.head_dim, shape.groups > 1), grid, dim3(shape.rows * 2, shape.groups),
               shape.groups * attention_group_bytes(kernel_dim(arguments.head_dim), shape.rows), arguments);
    }
  });
}

}  // namespace magnets::cuda
