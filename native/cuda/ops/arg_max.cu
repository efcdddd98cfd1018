#include "../cuda_stream.h"
#include "../kernels/arg_max.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const ArgMax& op) {
  if (op.rows == 0) return;
  launch(arg_max_kernel, grid_of(divide_up(op.rows, kRowsOfBlock)), kRowsOfBlock * 32, 0, cuda(op.x).as<float>(),
         cuda(op.x).stride(), op.rows, op.columns, cuda(op.index).as<int>());
}

}  // namespace magnets::cuda
