#include <cmath>

#include "../cuda_stream.h"
#include "attention.h"

namespace magnets::cuda {

namespace {

/// Blocks that share the rows evenly: as few as their warps allow, or more, of groups, where multiprocessors would be
/// idle.
template <class T, int kDim>
AttentionChoice choose(int most_rows, int heads, int multiprocessors) {
  const int warps = divide_up(most_rows, 16);
  const int few = divide_up(warps, kMostWarps(kDim)), many = divide_up(warps, kGroupWarps);
  const bool shared_keys = few * heads < multiprocessors;
  const int blocks = shared_keys ? many : few;
  const int block_warps = divide_up(warps, blocks), rows = block_warps * 16;
  const int groups = shared_keys ? kMostGroups(kDim) : 1;
  return {attention_kernel_for<T, kDim>(shared_keys), rows, dim3(block_warps * 32, groups),
          groups * attention_group_bytes<kDim>(rows)};
}

template <class T, class... Sizes>
AttentionChoice choose_dim(int head_dim, Sizes... sizes) {
  if (head_dim <= 16) return choose<T, 16>(sizes...);
  if (head_dim <= 32) return choose<T, 32>(sizes...);
  if (head_dim <= 64) return choose<T, 64>(sizes...);
  if (head_dim <= 80) return choose<T, 80>(sizes...);
  if (head_dim <= 96) return choose<T, 96>(sizes...);
  return choose<T, 128>(sizes...);
}

template <class T>
AttentionChoice choose_wide(int head_dim) {
  return {wide_attention_kernel_for<T>(), kWideRows, dim3(kWideWarps * 32), wide_attention_bytes(head_dim)};
}

}  // namespace

AttentionChoice choose_attention(ComputeType compute, int head_dim, int most_rows, int heads, int multiprocessors) {
  if (head_dim > kMostHeadDim)
    return compute == ComputeType::f16 ? choose_wide<f16>(head_dim) : choose_wide<bf16>(head_dim);
  return compute == ComputeType::f16 ? choose_dim<f16>(head_dim, most_rows, heads, multiprocessors)
                                     : choose_dim<bf16>(head_dim, most_rows, heads, multiprocessors);
}

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
  const AttentionChoice choice =
      choose_attention(compute_, arguments.head_dim, rows.most, op.heads * rows.branches, device_->multiprocessors());
  launch(choice.kernel, grid_of(divide_up(rows.most, choice.rows), op.heads, rows.branches), choice.threads,
         choice.shared, arguments);
}

}  // namespace magnets::cuda
