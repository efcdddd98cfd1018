// A task is a block of rows times a few panels; inside it the inputs are taken in
// blocks, so that a panel's block stays in the first cache while the rows pass by.
#include "multiply.h"

#include <algorithm>

namespace magnets::cpu {

namespace {

constexpr int kInputBlock = 256;
constexpr int kRowBlock = 144;
constexpr int kPanelGroup = 4;

void finish(const Kernels& kernels, Activation activation, const float* bias, int rows, int columns, float* c,
            size_t c_stride) {
  for (int row = 0; row < rows; ++row, c += c_stride) {
    kernels.add(c, bias, columns);
    if (activation == Activation::gelu) kernels.gelu(c, columns);
    if (activation == Activation::gelu_tanh) kernels.gelu_tanh(c, columns);
  }
}

/// One tile of one block of inputs. The last panel may stick out of y: it is computed beside and copied.
void product_tile(const Kernels& kernels, const MatrixProduct& product, int out, int in, int panel, int first_in,
                  const float* x, size_t x_stride, int row, int rows, Activation activation, bool add) {
  const int k = std::min(kInputBlock, in - first_in);
  const int column = panel * kPanel;
  const int columns = std::min(kPanel, out - column);
  const bool accumulate = first_in > 0 || add;
  const bool last = first_in + k == in;
  const float* a = x + row * x_stride + first_in;
  float* y = product.y + row * product.stride + column;
  const float* bias = product.layer->bias() + column;

  if (columns == kPanel) {
    product.layer->tile(kernels, panel, first_in, k, rows, a, x_stride, accumulate, y, product.stride);
    if (last) finish(kernels, activation, bias, rows, kPanel, y, product.stride);
    return;
  }
  constexpr int kMostRows = 16;
  alignas(kAlignment) float beside[kMostRows * kPanel] = {};
  if (accumulate) {
    for (int i = 0; i < rows; ++i) std::copy_n(y + i * product.stride, columns, beside + i * kPanel);
  }
  product.layer->tile(kernels, panel, first_in, k, rows, a, x_stride, accumulate, beside, kPanel);
  if (last) finish(kernels, activation, bias, rows, columns, beside, kPanel);
  for (int i = 0; i < rows; ++i) std::copy_n(beside + i * kPanel, columns, y + i * product.stride);
}

}  // namespace

void multiply(const Kernels& kernels, ThreadPool& pool, std::span<const MatrixProduct> products, int out, int in,
              const float* x, size_t x_stride, int rows, Activation activation, bool add) {
  const int panels = panels_of(out);
  const int row_blocks = (rows + kRowBlock - 1) / kRowBlock;
  const int count = static_cast<int>(products.size());
  // Enough tasks for every thread, but no more panels apart than there must be: a task reads its rows anew.
  int group = kPanelGroup;
  while (group > 1 && row_blocks * count * (panels / group) < 4 * pool.threads()) group /= 2;
  const int groups = (panels + group - 1) / group;

  pool.run(row_blocks * count * groups, [&](int task, int) {
    const MatrixProduct& product = products[task / groups % count];
    const int block = task / groups / count;
    const int first_panel = task % groups * group;
    const int last_panel = std::min(panels, first_panel + group);
    const int first_row = static_cast<int>(static_cast<int64_t>(rows) * block / row_blocks);
    const int last_row = static_cast<int>(static_cast<int64_t>(rows) * (block + 1) / row_blocks);
    for (int first_in = 0; first_in < in; first_in += kInputBlock) {
      for (int panel = first_panel; panel < last_panel; ++panel) {
        for (int row = first_row; row < last_row; row += kernels.tile_rows) {
          product_tile(kernels, product, out, in, panel, first_in, x, x_stride, row,
                       std::min(kernels.tile_rows, last_row - row), activation, add);
        }
      }
    }
  });
}

}  // namespace magnets::cpu
