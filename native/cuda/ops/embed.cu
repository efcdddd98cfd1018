#include "../cuda_stream.h"
#include "../kernels/embedding.cuh"
#include "norm_arguments.h"

namespace magnets::cuda {

void CudaStream::do_run(const Embed& op) {
  if (op.rows.count == 0) return;
  const WeightMatrix& entries = cuda(op.table).entries();
  const EmbedArguments arguments{
      .tables = {entries.get(), entries.stride(), cuda(op.positions).as<float>(), cuda(op.positions).stride()},
      .ids = cuda(op.ids).as<int>(),
      .first_ids = cuda(op.first_ids).as<int>(),
      .ids_stride = cuda(op.ids).stride(),
      .samples = op.samples,
      .sub_tokens = op.sub_tokens,
      .row_index = cuda(op.rows.index).as<int>(),
      .rows = op.rows.count,
      .positions = op.rows.positions,
      .norm = norm_arguments(op.norm),
      .columns = op.columns,
      .x = cuda(op.x).as<void>(),
      .x_stride = cuda(op.x).stride(),
  };
  with_compute_type([&]<class T>(T) {
    launch(embed_kernel<T>, grid_of(divide_up(op.rows.count, kRowsOfBlock)), kRowsOfBlock * 32, 0, arguments);
  });
}

}  // namespace magnets::cuda
