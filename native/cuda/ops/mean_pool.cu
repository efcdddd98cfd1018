#include "../cuda_stream.h"
#include "pictures.h"

namespace magnets::cuda {

void CudaStream::do_run(const MeanPool& op) {
  const int rows = resampled(op.grid, Resampling::down).rows();
  with_compute_type([&]<class T>(T) {
    launch(mean_pool_kernel<T>, grid_of(divide_up(rows, kRowsOfBlock)), kRowsOfBlock * 32, 0,
           pictures_of(op.x, op.grid, op.channels, nullptr), cuda(op.y).as<T>(), cuda(op.y).stride());
  });
}

}  // namespace magnets::cuda
