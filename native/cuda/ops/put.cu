#include <algorithm>

#include "../cuda_stream.h"
#include "../kernels/put.cuh"

namespace magnets::cuda {

// The launch copies its arguments, so nothing has to outlive this call and nothing is waited for.
void CudaStream::put(std::initializer_list<Put> puts) {
  device_->make_current();
  PutArguments arguments{};
  int used = 0;
  const auto flush = [&] {
    if (arguments.run_count > 0) launch(put_kernel, grid_of(1), kPutThreads, 0, arguments);
    arguments.run_count = used = 0;
  };
  for (const Put& put : puts) {
    const int count = static_cast<int>(put.values.size());
    for (int done = 0; done < count;) {
      if (arguments.run_count == PutArguments::kMostRuns || used == PutArguments::kMostValues) flush();
      const int now = std::min(count - done, PutArguments::kMostValues - used);
      arguments.runs[arguments.run_count++] = {cuda(put.target).as<int>() + done, used, now};
      std::copy_n(put.values.begin() + done, now, arguments.values + used);
      used += now;
      done += now;
    }
  }
  flush();
}

}  // namespace magnets::cuda
