// A CUDA device as a backend.
#pragma once

#include <memory>

#include "../backend.h"

namespace magnets::cuda {

/// dtype: of weights and activations, bf16 or f16. Throws ERR_UNSUPPORTED where the device or the dtype cannot be had.
std::unique_ptr<Backend> open(int index, DType dtype);

}  // namespace magnets::cuda
