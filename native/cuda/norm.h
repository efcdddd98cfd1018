// A norm as kernels get it.
#pragma once

#include "../ops/types.h"

namespace magnets::cuda {

/// A norm's weights in device memory; weight null: no norm.
struct NormArguments {
  const float *weight, *bias;  // [columns]; bias null: none
  float epsilon;
  NormKind kind;
};

}  // namespace magnets::cuda
