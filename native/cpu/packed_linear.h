// A linear layer in the micro-kernels' order. Outputs go in panels of 32, a panel holds its 32 outputs for input 0,
// then for input 1, and so on: [out / 32][in][32]. The first outputs are the first panels and the first inputs are the
// first rows of every panel, so one copy serves every width.
//
// f32: a row is 32 floats. bf16: a row is 16 pairs, pair j holds output j in its low half and output j + 16 in its high
// half. A tile widens them as it loads them: half the bytes, f32 arithmetic. int8: as PackedInt8 has it, for matrix
// products alone; a convolution's weights are of the other formats.
#pragma once

#include "kernels/kernels.h"
#include "memory.h"
#include "packed_int8.h"
#include "thread_pool.h"

namespace magnets::cpu {

/// Weights of one panel, in one of two formats.
struct PanelRows {
  const float* f32 = nullptr;
  const uint32_t* bf16 = nullptr;
};

class PackedLinear : public Linear {
 public:
  /// Throws as Backend::linear says.
  PackedLinear(const HostMatrix& weight, const float* bias, WeightFormat format, const Kernels& kernels,
               ThreadPool& pool);

  /// One of `parts` equal parts of a block of a panel, the one from input `first` on: what one of as many tiles of k
  /// inputs fetches ahead.
  Ahead ahead(int panel, int first, int k, int part, int parts) const {
    const size_t row = static_cast<size_t>(panel) * in_ + first;
    const size_t row_bytes = f32_ != nullptr ? kPanel * sizeof(float) : kPanel / 2 * sizeof(uint32_t);
    const size_t step = (row_bytes + parts - 1) / parts;
    const auto* weights = f32_ != nullptr ? static_cast<const void*>(f32_.get()) : bf16_.get();
    return {static_cast<const char*>(weights) + row * row_bytes + part * k * step, static_cast<int>(step)};
  }

  /// A panel from input `first` on, as the micro-kernels take it.
  PanelRows rows(int panel, int first) const {
    const size_t row = static_cast<size_t>(panel) * in_ + first;
    return f32_ != nullptr ? PanelRows{.f32 = f32_.get() + row * kPanel}
                           : PanelRows{.bf16 = bf16_.get() + row * (kPanel / 2)};
  }

  /// The most rows of a tile of these weights; of bytes their kernels say it.
  int tile_rows(const Kernels& kernels) const { return bf16_ != nullptr ? kernels.bf16_tile_rows : kernels.tile_rows; }

  size_t bytes() const override;

  float weight(int out, int in) const;

  /// The weights where they are bytes, else null.
  const PackedInt8* int8() const { return int8_.get(); }

  /// b[0 .. 32 * panels), zero where there is no bias
  const float* bias() const { return bias_.get(); }

 private:
  int in_;
  AlignedArray<float> f32_;  // one of these three is there
  AlignedArray<uint32_t> bf16_;
  std::unique_ptr<const PackedInt8> int8_;
  AlignedArray<float> bias_;
};

/// A tile of a panel of which only the first `columns` are outputs and so have room in c.
void tile_of(const Kernels& kernels, int columns, int rows, const float* a, size_t a_stride, PanelRows panel, int k,
             bool accumulate, const float* bias, float* c, size_t c_stride, Ahead ahead);

inline const PackedLinear& cpu(const Linear& layer) { return static_cast<const PackedLinear&>(layer); }

}  // namespace magnets::cpu
