// A convolution as products: of rows of x and the rows around them where chunks of channels are whole, else of rows
// that hold the pixels of all taps.
#include "../cuda_stream.h"
#include "../matmul/matmul.h"
#include "pictures.h"

namespace magnets::cuda {

namespace {

/// The product of all places for one parity. x and the rows of its taps are left open.
MatmulProblem problem_of(const Convolution& op, const KernelShape& shape, int parity) {
  const CudaLinear& layer = cuda(op.layer);
  const Grid places = shape.places(op.grid);
  MatmulProblem problem{};
  problem.out = op.out;
  problem.products = 1;
  problem.product[0] = {layer.weight().get(), layer.bias(), cuda(op.y).as<void>()};
  problem.weight_stride = layer.weight().stride();
  problem.y_stride = cuda(op.y).stride();
  problem.epilogue = op.add ? Epilogue::add : Epilogue::store;
  problem.f32_out = cuda(op.y).type() == ElementType::f32;
  problem.picture = {.lines = places.height,
                     .columns = places.width,
                     .height = places.height,
                     .width = places.width,
                     .parities = shape.parities,
                     .parity_line = parity / shape.parities,
                     .parity_column = parity % shape.parities};
  return problem;
}

}  // namespace

void CudaStream::do_run(const Convolution& op) { op.in % 8 == 0 ? convolve_bordered(op) : convolve_unfolded(op); }

void CudaStream::convolve_bordered(const Convolution& op) {
  const KernelShape shape(op.resampling);
  const Grid places = shape.places(op.grid);
  const bool split = shape.step == 2;
  const int lines = places.height + 1, columns = places.width + 1;
  const int of_part = op.grid.samples * lines * columns;  // rows
  const int rows = split ? 4 * of_part : of_part + columns;
  void* bordered = scratch(static_cast<size_t>(rows) * op.in * sizeof(uint16_t));
  const BorderArguments arguments{
      .pictures = pictures_of(op.x, op.grid, op.in, op.scale_shift),
      .split = split,
      .lines = lines,
      .columns = columns,
      .rows = rows,
      .y = bordered,
      .y_stride = op.in,
  };
  with_compute_type([&]<class T>(T) {
    launch(border_kernel<T>, grid_of(divide_up(rows * (op.in / 8), kPictureThreads)), kPictureThreads, 0, arguments);
  });

  for (int parity = 0; parity < shape.parities * shape.parities; ++parity) {
    MatmulProblem problem = problem_of(op, shape, parity);
    problem.x = bordered;
    problem.x_stride = op.in;
    problem.x_rows = rows;
    problem.rows = of_part;
    problem.in = op.in;
    problem.taps = shape.taps * shape.taps;
    problem.product[0].weight = static_cast<const uint16_t*>(problem.product[0].weight) + parity * problem.taps * op.in;
    problem.picture.lines = lines;
    problem.picture.columns = columns;
    for (int tap = 0; tap < problem.taps; ++tap) {
      const int line = tap / shape.taps + problem.picture.parity_line;
      const int column = tap % shape.taps + problem.picture.parity_column;
      problem.tap_rows[tap] =
          split ? (line % 2 * 2 + column % 2) * of_part + line / 2 * columns + column / 2 : line * columns + column;
    }
    multiply(problem, cuda(op.layer).weight());
  }
}

void CudaStream::convolve_unfolded(const Convolution& op) {
  const KernelShape shape(op.resampling);
  const Grid places = shape.places(op.grid);
  const int rows = places.rows(), inputs = layer_taps_of(op.resampling) * op.in;
  const int stride = static_cast<int>(round_up(inputs, kRowAlignment / sizeof(uint16_t)));
  void* unfolded = scratch(static_cast<size_t>(rows) * stride * sizeof(uint16_t));
  for (int parity = 0; parity < shape.parities * shape.parities; ++parity) {
    const UnfoldArguments arguments{
        .pictures = pictures_of(op.x, op.grid, op.in, op.scale_shift),
        .places_height = places.height,
        .places_width = places.width,
        .taps = shape.taps,
        .step = shape.step,
        .kernels = shape.parities * shape.parities,
        .kernel = parity,
        .line_before = shape.before - parity / shape.parities,
        .column_before = shape.before - parity % shape.parities,
        .y = unfolded,
        .y_stride = stride,
    };
    with_compute_type([&]<class T>(T) {
      launch(unfold_kernel<T>, grid_of(divide_up(rows * inputs, kPictureThreads)), kPictureThreads, 0, arguments);
    });
    MatmulProblem problem = problem_of(op, shape, parity);
    problem.x = unfolded;
    problem.x_stride = stride;
    problem.x_rows = problem.rows = rows;
    problem.in = inputs;
    multiply(problem, cuda(op.layer).weight());
  }
}

}  // namespace magnets::cuda
