// A CUDA device as a backend.
#pragma once

#include <climits>
#include <memory>
#include <vector>

#include "../ops/backend.h"

namespace magnets::cuda {

/// compute: the type of activations, bf16 or f16, in which weights are kept as well. Throws ERR_UNSUPPORTED where the
/// device or the type cannot be had.
/// Kernels are chosen as for a device of at most `multiprocessors`: few of them take large tiles for small matrices, so
/// that tests meet every kernel on any device.
/// choices: of tiles, for the products that they name; of all others the formula's.
std::unique_ptr<Backend> open(int index, ComputeType compute, int multiprocessors = INT_MAX,
                              const std::vector<TileChoice>& choices = {});

}  // namespace magnets::cuda
