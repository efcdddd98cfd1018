#include "../cuda_stream.h"
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
  problem.out = op.heads * op.head_dim;
  problem.in = op.in;
  problem.products = 3;
  problem.product[0] = {query.weight().get(), query.bias(), cuda(op.q).as<void>()};
  problem.product[1] = {key.weight().get(), key.bias(), cache.keys(op.layer)};
  problem.product[2] = {value.weight().get(), value.bias(), cache.values(op.layer)};
  problem.weight_stride = query.weight().stride();
  problem.y_stride = cuda(op.q).stride();
  problem.cache = {cuda(op.rows.index).as<int>(), op.rows.positions, cache.heads(), op.head_dim};
  problem.epilogue = Epilogue::store;
  multiply(problem, query.weight());
}

}  // namespace magnets::cuda
