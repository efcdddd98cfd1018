// From the norm of an operation to that of a kernel.
#pragma once

#include "../memory.h"
#include "../norm.h"

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
