#include "../cuda_stream.h"
#include "../kernels/qk_norm.cuh"
#include "../matmul/matmul.h"

namespace magnets::cuda {

void CudaStream::do_run(const ProjectQkv& op) {
  const int rows = op.rows.count;
  if (rows == 0) return;
  const CudaKvCache& cache = cuda(op.cache);
  const CudaLinear &query = cuda(op.query), &key = cuda(op.key), &value = cuda(op.value);
  const RowsView x = normalized(op.x, rows, op.in);
  MatmulProblem problem{};
  problem.x = x.first;
  problem.x_stride = x.stride;
  problem.x_rows = rows;
  problem.rows = rows;
  problem.out = op.heads * head_stride(op.head_dim);
  problem.in = op.in;
  problem.products = 3;
  problem.product[0] = {query.weight().get(), query.bias(), cuda(op.q).as<void>()};
  problem.product[1] = {key.weight().get(), key.bias(), cache.keys(op.layer)};
  problem.product[2] = {value.weight().get(), value.bias(), cache.values(op.layer)};
  problem.weight_stride = query.weight().stride();
  problem.y_stride = cuda(op.q).stride();
  problem.cache = {cuda(op.rows.index).as<int>(), op.rows.positions, cache.heads(), head_stride(op.head_dim)};
  problem.epilogue = Epilogue::store;
  multiply(problem, query.weight());
  // A row's sum goes over tiles of several blocks, so it waits for all of them.
  if (op.qk_norm_epsilon) normalize_qk(op);
}

void CudaStream::normalize_qk(const ProjectQkv& op) {
  const CudaKvCache& cache = cuda(op.cache);
  const QkNormArguments arguments{
      .q = cuda(op.q).as<void>(),
      .q_stride = cuda(op.q).stride(),
      .keys = cache.keys(op.layer),
      .row_index = cuda(op.rows.index).as<int>(),
      .rows = op.rows.count,
      .positions = op.rows.positions,
      .heads = op.heads,
      .cache_heads = cache.heads(),
      .head_dim = op.head_dim,
      .head_stride = head_stride(op.head_dim),
      .epsilon = *op.qk_norm_epsilon,
  };
  with_compute_type([&]<class T>(T) {
    launch(qk_norm_kernel<T>, grid_of(divide_up(op.rows.count, kRowsOfBlock), 2), kRowsOfBlock * 32, 0, arguments);
  });
}

}  // namespace magnets::cuda
