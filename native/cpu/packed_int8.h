// The weights of a linear layer as bytes, in the order of the int8 kernels: [out / 32][in / 4][32][4], and a scale for
// each output. As in PackedLinear the first outputs are the first panels and the first inputs the first rows of every
// panel; a scale is that of all inputs, so that it holds for each prefix of them.
#pragma once

#include "kernels/int8.h"
#include "memory.h"
#include "thread_pool.h"

namespace magnets::cpu {

class PackedInt8 {
 public:
  /// Throws as Backend::linear says.
  PackedInt8(const HostMatrix& weight, const Int8Kernels& kernels, ThreadPool& pool);

  const Int8Kernels& kernels() const { return kernels_; }
  const uint8_t* panel(int panel) const { return values_.get() + static_cast<size_t>(panel) * panel_size_; }
  const float* scales() const { return scales_.get(); }  // of whole panels
  size_t bytes() const { return bytes_of(values_) + bytes_of(scales_); }

 private:
  const Int8Kernels& kernels_;
  size_t panel_size_;
  AlignedArray<uint8_t> values_;  // w + 128
  AlignedArray<float> scales_;
};

}  // namespace magnets::cpu
