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

/// How a product becomes y: y = activation(product), y + product, y + scale * product, or y * product.
struct Finish {
  Activation activation = Activation::none;
  bool add = false;
  const BranchScale* scale = nullptr;  // with `add`
  bool multiply = false;
};

/// Memory of `multiply`, kept for the next one.
struct MultiplyScratch {
  Scratch apart;      // of every thread
  Scratch quantized;  // x as bytes
  Scratch sums;       // of bytes, of every thread
};

/// y[:rows, :out] from the products x[:rows, :in] · Wᵀ + b of several layers that share x and the format of weights.
void multiply(const Kernels& kernels, ThreadPool& pool, std::span<const MatrixProduct> products, int out, int in,
              const float* x, size_t x_stride, int rows, const Finish& finish, MultiplyScratch& scratch);

}  // namespace magnets::cpu
