#include "../cuda_stream.h"
#include "../kernels/embedding.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const Lookup& op) {
  if (op.rows == 0) return;
  const WeightMatrix& entries = cuda(op.table).entries();
  const LookupArguments arguments{
      .tables = {entries.get(), entries.stride(), op.positions != nullptr ? cuda(*op.positions).as<float>() : nullptr,
                 op.positions != nullptr ? cuda(*op.positions).stride() : 0},
      .ids = cuda(op.ids).as<int>(),
      .rows = op.rows,
      .sequence = op.sequence,
      .columns = op.columns,
      .y = cuda(op.y).as<void>(),
      .y_stride = cuda(op.y).stride(),
  };
  with_compute_type([&]<class T>(T) {
    launch(lookup_kernel<T>, grid_of(divide_up(op.rows, kRowsOfBlock)), kRowsOfBlock * 32, 0, arguments);
  });
}

}  // namespace magnets::cuda
