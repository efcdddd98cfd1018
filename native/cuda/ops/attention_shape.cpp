#include "attention_shape.h"

#include <algorithm>

#include "../kernels/attention_wgmma.h"
#include "../rounding.h"

namespace magnets::cuda {

namespace {

/// As few blocks as their warps allow. Where these leave multiprocessors idle, as many as run at once, one on each: a
/// block too many would double the time. The warps that then have no rows of their own share the keys of others.
AttentionShape mma_shape(const AttentionProblem& p) {
  const int dim = kernel_dim(p.head_dim), warps = divide_up(p.most_rows, 16), few = divide_up(warps, most_warps(dim));
  const int blocks = std::clamp(p.multiprocessors / p.heads, few, std::max(few, warps));
  const int block_warps = divide_up(warps, blocks), rows = block_warps * 16;
  if (few * p.heads >= p.multiprocessors) return {AttentionPath::mma, rows, 1};
  const int groups = std::min({most_groups(dim), most_sharing_warps(dim) / block_warps,
                               p.block_shared / static_cast<int>(attention_group_bytes(dim, rows))});
  return {AttentionPath::mma, rows, groups};
}

}  // namespace

int kernel_dim(int head_dim) {
  for (const int dim : {16, 32, 64, 80, 96}) {
    if (head_dim <= dim) return dim;
  }
  return kMostHeadDim;
}

AttentionShape attention_shape(const AttentionProblem& p) {
  if (p.head_dim > kMostHeadDim) return {AttentionPath::wide, kWideRows, 1};
  if (p.capability == 90 && p.head_dim == kWgmmaHeadDim) return {AttentionPath::wgmma, kWgmmaQueries, 1};
  return mma_shape(p);
}

}  // namespace magnets::cuda
