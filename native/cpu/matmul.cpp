#include "cpu_stream.h"
#include "multiply.h"

namespace magnets::cpu {

void CpuStream::do_run(const Matmul& op) {
  const InputRows x = normalized(op.x, op.rows, op.in);
  const CpuBuffer& y = cpu(op.y);
  const bool add = op.residual != nullptr;
  if (add && op.residual->norm != nullptr) {
    normalize(y.row<float>(0), y.stride(), *op.residual->norm, op.rows, op.out, y.row<float>(0), y.stride());
  }
  const MatrixProduct product{&cpu(op.layer), y.row<float>(0), y.stride()};
  const Finish finish{.activation = op.activation, .add = add, .scale = op.residual_scale, .multiply = op.multiplies};
  multiply(kernels_, *pool_, {&product, 1}, op.out, op.in, x.first, x.stride, op.rows, finish, products_);
}

}  // namespace magnets::cpu
