// Pictures as kernels get them.
#pragma once

#include "../../ops/conv_ops.h"
#include "../kernels/picture.cuh"
#include "../memory.h"

namespace magnets::cuda {

/// scale_shift null: as they are.
inline Pictures pictures_of(const Buffer& x, const Grid& grid, int channels, const Buffer* scale_shift) {
  return {.x = cuda(x).as<void>(),
          .x_stride = cuda(x).stride(),
          .samples = grid.samples,
          .height = grid.height,
          .width = grid.width,
          .channels = channels,
          .scale_shift = scale_shift != nullptr ? cuda(*scale_shift).as<float>() : nullptr,
          .scale_shift_stride = scale_shift != nullptr ? cuda(*scale_shift).stride() : 0};
}

}  // namespace magnets::cuda
