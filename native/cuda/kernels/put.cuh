// A few numbers from the launch's own arguments to device memory, in the order of the stream.
#pragma once

#include <ptx.cuh>

namespace magnets::cuda {

constexpr int kPutThreads = 256;

/// Arguments of a kernel are at most 4 KB.
struct PutArguments {
  static constexpr int kMostRuns = 8, kMostValues = 960;

  /// values[first .. first + count) go to target[0 .. count).
  struct Run {
    int* target;
    int first, count;
  };
  Run runs[kMostRuns];
  int run_count;
  int values[kMostValues];
};
static_assert(sizeof(PutArguments) <= 4096);

static __global__ void __launch_bounds__(kPutThreads) put_kernel(const __grid_constant__ PutArguments p) {
  wait_for_previous_grid();  // which may still read the old numbers
  let_next_grid_start();
  for (int run = 0; run < p.run_count; ++run) {
    for (int i = threadIdx.x; i < p.runs[run].count; i += kPutThreads) {
      p.runs[run].target[i] = p.values[p.runs[run].first + i];
    }
  }
}

}  // namespace magnets::cuda
