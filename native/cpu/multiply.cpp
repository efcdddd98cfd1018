// A task is a block of rows times a few panels; inside it the inputs are taken in
// blocks, so that a panel's block stays in the first cache while the rows pass by.
#include "multiply.h"

#include <algorithm>

#include "buffer.h"

namespace magnets::cpu {

namespace {

constexpr int kInputBlock = 256;
constexpr int kRowBlock = 144;
constexpr int kPanelGroup = 4;

/// The product of a task that is combined with y once it is complete: its rows are no power of two apart.
constexpr size_t kApartStride = kPanelGroup * kPanel + 16;

void finish_rows(const Kernels& kernels, Activation activation, const float* bias, int rows, int columns, float* c,
                 size_t c_stride) {
  for (int row = 0; row < rows; ++row, c += c_stride) {
    kernels.add(c, bias, columns);
    if (activation == Activation::gelu) kernels.gelu(c, columns);
    if (activation == Activation::gelu_tanh) kernels.gelu_tanh(c, columns);
    if (activation == Activation::silu) kernels.silu(c, columns);
    if (activation == Activation::tanh) kernels.tanh(c, columns);
  }
}

/// One tile of one block of inputs, at y. The last panel may stick out of y: it is computed beside and copied.
void product_tile(const Kernels& kernels, const PackedLinear& layer, int out, int in, int panel, int first_in,
                  const float* x, size_t x_stride, int rows, Activation activation, bool add, float* y,
                  size_t y_stride) {
  const int k = std::min(kInputBlock, in - first_in);
  const int columns = std::min(kPanel, out - panel * kPanel);
  const bool accumulate = first_in > 0 || add;
  const bool last = first_in + k == in;
  const float* a = x + first_in;
  const float* bias = layer.bias() + panel * kPanel;

  if (columns == kPanel) {
    layer.tile(kernels, panel, first_in, k, rows, a, x_stride, accumulate, y, y_stride);
    if (last) finish_rows(kernels, activation, bias, rows, kPanel, y, y_stride);
    return;
  }
  constexpr int kMostRows = 16;
  alignas(kAlignment) float beside[kMostRows * kPanel] = {};
  if (accumulate) {
    for (int i = 0; i < rows; ++i) std::copy_n(y + i * y_stride, columns, beside + i * kPanel);
  }
  layer.tile(kernels, panel, first_in, k, rows, a, x_stride, accumulate, beside, kPanel);
  if (last) finish_rows(kernels, activation, bias, rows, columns, beside, kPanel);
  for (int i = 0; i < rows; ++i) std::copy_n(beside + i * kPanel, columns, y + i * y_stride);
}

/// y = y + scale * product, or y * product, for one row from `column` on.
void combine(const Kernels& kernels, const Finish& finish, int row, int column, int columns, const float* product,
             float* y) {
  if (finish.multiply) return kernels.multiply(y, product, columns);
  const auto& [scale, rows] = *finish.scale;
  const int branch = cpu(rows.index).row<int32_t>(0)[row] / rows.positions;
  kernels.add_scaled(y, cpu(scale.values).row<float>(branch) + scale.first + column, product, columns);
}

}  // namespace

void multiply(const Kernels& kernels, ThreadPool& pool, std::span<const MatrixProduct> products, int out, int in,
              const float* x, size_t x_stride, int rows, const Finish& finish, Scratch& scratch) {
  const int panels = panels_of(out);
  const int row_blocks = (rows + kRowBlock - 1) / kRowBlock;
  const int count = static_cast<int>(products.size());
  // Enough tasks for every thread, but no more panels apart than there must be: a task reads its rows anew.
  int group = kPanelGroup;
  while (group > 1 && row_blocks * count * (panels / group) < 4 * pool.threads()) group /= 2;
  const int groups = (panels + group - 1) / group;
  // A product that is added up in y has no place beside what it is combined with there.
  const bool apart = finish.scale != nullptr || finish.multiply;
  constexpr size_t kApartSize = kRowBlock * kApartStride;
  float* const all_apart = apart ? scratch.get<float>(pool.threads() * kApartSize) : nullptr;

  pool.run(row_blocks * count * groups, [&](int task, int thread) {
    const MatrixProduct& product = products[task / groups % count];
    const int block = task / groups / count;
    const int first_panel = task % groups * group;
    const int last_panel = std::min(panels, first_panel + group);
    const int first_row = static_cast<int>(static_cast<int64_t>(rows) * block / row_blocks);
    const int last_row = static_cast<int>(static_cast<int64_t>(rows) * (block + 1) / row_blocks);
    const int first_column = first_panel * kPanel;
    float* const y = product.y + first_row * product.stride + first_column;
    float* const sums = apart ? all_apart + thread * kApartSize : y;
    const size_t stride = apart ? kApartStride : product.stride;
    for (int first_in = 0; first_in < in; first_in += kInputBlock) {
      for (int panel = first_panel; panel < last_panel; ++panel) {
        for (int row = first_row; row < last_row; row += kernels.tile_rows) {
          product_tile(kernels, *product.layer, out, in, panel, first_in, x + row * x_stride, x_stride,
                       std::min(kernels.tile_rows, last_row - row), finish.activation, finish.add && !apart,
                       sums + (row - first_row) * stride + (panel - first_panel) * kPanel, stride);
        }
      }
    }
    if (!apart) return;
    const int columns = std::min(out, last_panel * kPanel) - first_column;
    for (int row = first_row; row < last_row; ++row) {
      combine(kernels, finish, row, first_column, columns, sums + (row - first_row) * stride,
              y + (row - first_row) * product.stride);
    }
  });
}

}  // namespace magnets::cpu
