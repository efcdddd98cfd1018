#include "../cuda_stream.h"
#include "../kernels/group_statistics.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const GroupStatistics& op) {
  if (op.channels > kMostStatisticsChannels) {
    throw Error("ERR_UNSUPPORTED", "Expected at most " + std::to_string(kMostStatisticsChannels) +
                                       " channels under a group norm on a CUDA device but received " +
                                       std::to_string(op.channels));
  }
  const int pixels = op.grid.height * op.grid.width, parts = divide_up(pixels, pixels_of_part(op.channels));
  auto* moments = static_cast<Moments*>(scratch(sizeof(Moments) * op.grid.samples * parts * op.groups));
  const StatisticsArguments arguments{
      .x = cuda(op.x).as<void>(),
      .x_stride = cuda(op.x).stride(),
      .pixels = pixels,
      .channels = op.channels,
      .groups = op.groups,
      .parts = parts,
      .moments = moments,
  };
  with_compute_type([&]<class T>(T) {
    launch(moments_kernel<T>, grid_of(parts, op.grid.samples), kStatisticsThreads, sizeof(StatisticsShared), arguments);
  });
  const ScaleShiftArguments finish{
      .moments = moments,
      .samples = op.grid.samples,
      .parts = parts,
      .groups = op.groups,
      .channels = op.channels,
      .weight = cuda(*op.norm.weight).as<float>(),
      .bias = cuda(*op.norm.bias).as<float>(),
      .epsilon = op.norm.epsilon,
      .scale_shift = cuda(op.scale_shift).as<float>(),
      .stride = cuda(op.scale_shift).stride(),
  };
  launch(scale_shift_kernel, grid_of(divide_up(op.grid.samples * op.groups, kRowsOfBlock)), kRowsOfBlock * 32, 0,
         finish);
}

}  // namespace magnets::cuda
