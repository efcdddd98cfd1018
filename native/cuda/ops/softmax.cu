#include "../cuda_stream.h"
#include "../kernels/softmax.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const Softmax& op) {
  if (op.rows == 0) return;
  const CudaBuffer &x = cuda(op.x), &y = cuda(op.y);
  with_compute_type([&]<class T>(T) {
    launch(softmax_kernel<T>, grid_of(divide_up(op.rows, kRowsOfBlock)), kRowsOfBlock * 32, 0, x.as<float>(),
           x.stride(), op.rows, op.columns, y.as<T>(), y.stride());
  });
}

}  // namespace magnets::cuda
