#include "../cuda_stream.h"
#include "../kernels/gather.cuh"
#include "norm_arguments.h"

namespace magnets::cuda {

void CudaStream::do_run(const Gather& op) {
  if (op.count == 0) return;
  const CudaBuffer &x = cuda(op.x.x), &y = cuda(op.y);
  with_compute_type([&]<class T>(T) {
    launch(gather_kernel<T>, grid_of(divide_up(op.count, kRowsOfBlock)), kRowsOfBlock * 32, 0, x.as<T>(), x.stride(),
           cuda(op.index).as<int>(), op.count, norm_arguments(op.x.norm), op.columns, y.as<T>(), y.stride());
  });
}

}  // namespace magnets::cuda
