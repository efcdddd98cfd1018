// A norm as kernels get it.
#pragma once

#include "../kernels/layer_norm.cuh"
#include "../memory.h"

namespace magnets::cuda {

inline NormArguments norm_arguments(const Norm& norm) {
  return {cuda(*norm.weight).as<float>(), norm.bias != nullptr ? cuda(*norm.bias).as<float>() : nullptr, norm.epsilon,
          norm.kind};
}

/// Null: no norm.
inline NormArguments norm_arguments(const Norm* norm) {
  return norm != nullptr ? norm_arguments(*norm) : NormArguments{};
}

}  // namespace magnets::cuda
