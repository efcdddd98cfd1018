// The rows of a step, and what the model sees there.
#include "../cuda_stream.h"
#include "../kernels/embedding.cuh"
#include "norm_arguments.h"

namespace magnets::cuda {

namespace {

SelectRowsArguments arguments_of(const SelectRows& op) {
  return {
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
}

EmbedArguments arguments_of(const Embed& op) {
  const WeightMatrix& entries = cuda(op.table).entries();
  return {
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
}

}  // namespace

void CudaStream::do_run(const SelectRows& op) {
  launch(select_rows_kernel, grid_of(divide_up(op.branches, kRowsOfBlock)), kRowsOfBlock * 32, 0, arguments_of(op));
}

void CudaStream::do_run(const Embed& op) {
  if (op.rows.count == 0) return;
  with_compute_type([&]<class T>(T) {
    launch(embed_kernel<T>, grid_of(divide_up(op.rows.count, kRowsOfBlock)), kRowsOfBlock * 32, 0, arguments_of(op));
  });
}

void CudaStream::do_run(const SelectRows& op, const Embed& then) {
  if (then.rows.count == 0) return;
  with_compute_type([&]<class T>(T) {
    launch(select_and_embed_kernel<T>, grid_of(divide_up(then.rows.count, kRowsOfBlock)), kRowsOfBlock * 32, 0,
           arguments_of(op), arguments_of(then));
  });
}

}  // namespace magnets::cuda
