#include "../cuda_stream.h"
#include "../matmul/matmul.h"
#include "norm_arguments.h"

namespace magnets::cuda {

namespace {

Epilogue epilogue_of(const Matmul& op) {
  if (op.residual_scale != nullptr) return Epilogue::add_scaled;
  if (op.residual != nullptr) return Epilogue::add;
  if (op.multiplies) return Epilogue::multiply;
  switch (op.activation) {
    case Activation::gelu:
      return Epilogue::gelu;
    case Activation::gelu_tanh:
      return Epilogue::gelu_tanh;
    case Activation::silu:
      return Epilogue::silu;
    case Activation::tanh:
      return Epilogue::tanh;
    default:
      return Epilogue::store;
  }
}

}  // namespace

void CudaStream::do_run(const Matmul& op) { multiply(op, nullptr); }

Input CudaStream::do_run(const Matmul& op, const Normalize& norm) {
  const bool in_place = &norm.x == &op.y && &norm.y == &op.y && norm.columns == op.out;
  if (multiply(op, in_place ? &norm.norm : nullptr)) return {op.y};
  return do_run(norm);
}

bool CudaStream::multiply(const Matmul& op, const Norm* norm) {
  if (op.rows == 0) return false;
  // The residual's rows are y's own: what it is normalized to takes their place.
  const bool normalizes_residual = op.residual != nullptr && op.residual->norm != nullptr;
  if (normalizes_residual) normalize(rows_of(op.residual->x), *op.residual->norm, op.rows, op.out, rows_of(op.y));

  const CudaLinear& layer = cuda(op.layer);
  const int in = layer.inputs(op.in);
  const RowsView x = normalized(op.x, op.rows, in);
  MatmulProblem problem{};
  problem.x = x.first;
  problem.x_stride = x.stride;
  problem.x_rows = op.rows;
  problem.rows = op.rows;
  problem.out = op.out;
  problem.in = in;
  problem.products = 1;
  problem.product[0] = {layer.weight().get(), layer.bias(), cuda(op.y).as<void>()};
  problem.weight_stride = layer.weight().stride();
  problem.y_stride = cuda(op.y).stride();
  problem.epilogue = epilogue_of(op);
  if (op.residual_scale != nullptr) {
    const auto& [scale, rows] = *op.residual_scale;
    problem.cache.row_index = cuda(rows.index).as<int>();
    problem.cache.positions = rows.positions;
    problem.scale = cuda(scale.values).as<float>() + scale.first;
    problem.scale_stride = cuda(scale.values).stride();
  }
  problem.f32_out = cuda(op.y).type() == ElementType::f32;
  problem.norm = norm_arguments(norm);
  return multiply(problem, layer.weight());
}

}  // namespace magnets::cuda
