// Keys and values as the micro-kernels' right-hand sides, per layer, branch and head: keys [S / 32][head_dim][32],
// values [head_dim / 32][S][32].
#pragma once

#include "kernels/kernels.h"
#include "memory.h"

namespace magnets::cpu {

class CpuKvCache : public KvCache {
 public:
  CpuKvCache(int layers, int branches, int heads, int head_dim, int positions);

  static size_t bytes_of(int layers, int branches, int heads, int head_dim, int positions) {
    return sizeof(float) * layers * branches * heads *
           (key_size(head_dim, positions) + value_size(head_dim, positions));
  }

  void discard_branch(int branch) override;

  int positions() const { return positions_; }
  size_t value_panel() const { return static_cast<size_t>(positions_) * kPanel; }  // floats
  float* keys(int layer, int branch, int head) const { return keys_.get() + index(layer, branch, head) * key_size_; }
  float* values(int layer, int branch, int head) const {
    return values_.get() + index(layer, branch, head) * value_size_;
  }

 private:
  // Floats of one head.
  static size_t key_size(int head_dim, int positions) {
    return static_cast<size_t>(panels_of(positions)) * kPanel * head_dim;
  }
  static size_t value_size(int head_dim, int positions) {
    return static_cast<size_t>(panels_of(head_dim)) * kPanel * positions;
  }
  size_t index(int layer, int branch, int head) const {
    return (static_cast<size_t>(layer) * branches_ + branch) * heads_ + head;
  }
  int layers_, branches_, heads_, positions_;
  size_t key_size_, value_size_;
  AlignedArray<float> keys_, values_;
};

inline const CpuKvCache& cpu(const KvCache& cache) { return static_cast<const CpuKvCache&>(cache); }

}  // namespace magnets::cpu
