#include "../cuda_stream.h"
#include "../kernels/select_rows.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const SelectRows& op) {
  const SelectRowsArguments arguments{
      .state = cuda(op.state).as<uint8_t>(),
      .turns = cuda(op.turns).as<int>(),
      .turns_stride = cuda(op.turns).stride(),
      .masked_after = cuda(op.masked_after).as<int>(),
      .state_stride = cuda(op.state).stride(),
      .samples = op.samples,
      .tokens = op.tokens,
      .sub_tokens = op.sub_tokens,
      .branches = op.branches,
      .refresh = op.refresh,
      .all_logits = op.all_logits,
      .row_offsets = cuda(op.row_offsets).as<int>(),
      .logits_offsets = cuda(op.logits_offsets).as<int>(),
      .rows = cuda(op.rows).as<int>(),
      .logits_rows = cuda(op.logits_rows).as<int>(),
  };
  launch(select_rows_kernel, grid_of(divide_up(op.branches, kRowsOfBlock)), kRowsOfBlock * 32, 0, arguments);
}

}  // namespace magnets::cuda
