// The kernels of a convolution that follows nearest upsampling, of the pixels before it (Convolution, ops/conv_ops.h).
#pragma once

#include <vector>

namespace magnets {

/// kernel: [out, 3, 3, in]. The answer: [out, 2, 2, 2, 2, in], for each line and column of the 2 x 2 pixels that a
/// pixel becomes a kernel of 2 x 2 taps: where two taps of three meet the same pixel, their sum.
std::vector<float> upsampling_kernels(const std::vector<float>& kernel, int out, int in);

}  // namespace magnets
