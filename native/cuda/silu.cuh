// The one activation that products and pictures share.
#pragma once

#include <ptx.cuh>

namespace magnets::cuda {

/// x / (1 + e^-x)
__device__ __forceinline__ float silu(float x) {
  return x * reciprocal_approximate(1.0f + exp2_approximate(-1.44269504f * x));
}

}  // namespace magnets::cuda
