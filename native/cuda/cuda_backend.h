// A CUDA device as a backend.
#pragma once

#include <climits>
#include <memory>

#include "../backend.h"

namespace magnets::cuda {

/// dtype: of weights and activations, bf16 or f16. Throws ERR_UNSUPPORTED where the device or the dtype cannot be had.
/// Kernels are chosen as for a device of at most `multiprocessors`: few of them take large tiles for small matrices, so
/// that tests meet every kernel on any device.
std::unique_ptr<Backend> open(int index, DType dtype, int multiprocessors = INT_MAX);

}  // namespace magnets::cuda
