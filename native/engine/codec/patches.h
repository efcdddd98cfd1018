// Pixels to flat patches and back. A patch is flattened in the order (frame, row, column, channel); patches follow
// the grid in the order (frame, row, column).
#pragma once

#include <vector>

#include "../config.h"

namespace magnets {

/// pixels [count, frames, height, width, channels] -> [count * N, P]
std::vector<float> to_patches(const VitConfig& config, const float* pixels, int count);

/// [count * N, P] -> pixels
void from_patches(const VitConfig& config, const std::vector<float>& patches, int count, float* pixels);

}  // namespace magnets
