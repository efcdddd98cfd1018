// A CUDA device as a backend.
#pragma once

#include <climits>
#include <memory>
#include <vector>

#include "../ops/backend.h"

namespace magnets::cuda {

/// compute: the type of activations, bf16 or f16, in which weights are kept as well. Throws ERR_UNSUPPORTED where
/// there is no such device or it cannot compute in the type.
/// multiprocessors: kernels are chosen as for a device of at most so many. With few of them large tiles are chosen even
/// for small matrices, so tests reach every kernel on any device.
/// choices: tiles for the products that they name; for all others the formula chooses.
std::unique_ptr<Backend> open(int index, ComputeType compute, int multiprocessors = INT_MAX,
                              const std::vector<TileChoice>& choices = {});

}  // namespace magnets::cuda
