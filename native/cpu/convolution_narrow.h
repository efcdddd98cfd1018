// A convolution of so few outputs, such as a picture's colours, that those of all nine taps fit one panel: one product
// of every pixel, without taps, and nine sums. A panel of three outputs and 29 idle columns would take nine times that.
#pragma once

#include "convolution_band.h"
#include "memory.h"
#include "thread_pool.h"

namespace magnets::cpu {

inline bool is_narrow(const Convolution& op) { return op.resampling == Resampling::none && 9 * op.out <= kPanel; }

void convolve_narrow(const Kernels& kernels, ThreadPool& pool, const Convolution& op, const KernelShape& shape,
                     const Pieces& pieces, Scratch& scratch);

}  // namespace magnets::cpu
