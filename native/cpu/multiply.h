// Matrix products on packed weights, for the operations that have some.
#pragma once

#include <span>

#include "../ops/ops.h"
#include "packed_linear.h"

namespace magnets::cpu {

struct MatrixProduct {
  const PackedLinear* layer;
  float* y;
  size_t stride;
};

/// y[:rows, :out] = activation(x[:rows, :in] · Wᵀ + b) for several layers that share x; where `add` says so, that is
/// added to y.
void multiply(const Kernels& kernels, ThreadPool& pool, std::span<const MatrixProduct> products, int out, int in,
              const float* x, size_t x_stride, int rows, Activation activation, bool add);

}  // namespace magnets::cpu
