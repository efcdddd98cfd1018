#include "../cuda_stream.h"
#include "pictures.h"

namespace magnets::cuda {

void CudaStream::do_run(const Rescale& op) {
  with_compute_type([&]<class T>(T) {
    launch(rescale_kernel<T>, grid_of(divide_up(op.grid.rows(), kRowsOfBlock)), kRowsOfBlock * 32, 0,
           pictures_of(op.x, op.grid, op.channels, &op.scale_shift), op.silu, cuda(op.y).as<T>(), cuda(op.y).stride());
  });
}

}  // namespace magnets::cuda
