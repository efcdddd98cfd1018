#include "kv_cache.h"

namespace magnets::cpu {

CpuKvCache::CpuKvCache(int layers, int branches, int heads, int head_dim, int positions)
    : layers_(layers),
      branches_(branches),
      heads_(heads),
      positions_(positions),
      key_size_(key_size(head_dim, positions)),
      value_size_(value_size(head_dim, positions)),
      // Zeroed: the padding of a panel is multiplied, though nobody reads the result.
      keys_(allocate_array<float>(static_cast<size_t>(layers) * branches * heads * key_size_, true)),
      values_(allocate_array<float>(static_cast<size_t>(layers) * branches * heads * value_size_, true)) {}

void CpuKvCache::discard_branch(int branch) {
  for (int layer = 0; layer < layers_; ++layer) {
    give_back_pages(keys(layer, branch, 0), sizeof(float) * heads_ * key_size_);
    give_back_pages(values(layer, branch, 0), sizeof(float) * heads_ * value_size_);
  }
}

}  // namespace magnets::cpu
