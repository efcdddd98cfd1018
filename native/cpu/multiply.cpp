// A task is a block of rows times a few panels. Inside it the inputs are taken in blocks, so that a panel's block stays
// in a fast cache while the rows pass by. Sums of bytes lie beside until they are complete and can be scaled.
#include "multiply.h"

#include <algorithm>

#include "buffer.h"
#include "parts.h"
#include "quantized_rows.h"

namespace magnets::cpu {

namespace {

constexpr int kRowBlock = 144;
constexpr int kPanelGroup = 4;

/// The product of a task that is combined with y once it is complete: its rows are no power of two apart.
constexpr size_t kApartStride = kPanelGroup * kPanel + 16;

/// Of a whole task's row at once: a function on a panel's 32 numbers spends as long on waiting as on computing.
void activate(const Kernels& kernels, Activation activation, float* x, int columns) {
  if (activation == Activation::gelu) kernels.gelu(x, columns);
  if (activation == Activation::gelu_tanh) kernels.gelu_tanh(x, columns);
  if (activation == Activation::silu) kernels.silu(x, columns);
  if (activation == Activation::tanh) kernels.tanh(x, columns);
}

/// One tile of one block of bytes, [first_in, first_in + k) of `in`: at `sums`, and with the last one at y.
void int8_tile(const PackedLinear& layer, int out, int in, int panel, int first_in, int k, const QuantizedRows& x,
               int first_row, int rows, bool add, int32_t* sums, float* y, size_t y_stride) {
  const PackedInt8& weights = *layer.int8();
  const Int8Kernels& int8 = weights.kernels();
  const int columns = std::min(kPanel, out - panel * kPanel);
  const char* q = x.q + first_row * x.stride + static_cast<size_t>(first_in) * int8.input_size;
  int8.tile(rows, q, x.stride, x.sums + first_row, weights.panel(panel) + static_cast<size_t>(first_in) * kPanel,
            (k + kInputGroup - 1) / kInputGroup, first_in > 0, sums);
  if (first_in + k < in) return;
  for (int row = 0; row < rows; ++row, y += y_stride) {
    int8.finish(sums + row * kPanel, x.scales[first_row + row], weights.scales() + panel * kPanel,
                layer.bias() + panel * kPanel, columns, add, y);
  }
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
              const float* x, size_t x_stride, int rows, const Finish& finish, MultiplyScratch& scratch) {
  const int panels = panels_of(out);
  const int count = static_cast<int>(products.size());
  int row_blocks = parts_of(rows, kRowBlock);
  // Panels so few that some threads would have one more than others: the rows are divided as well, in whole tiles.
  if (count * panels < 4 * pool.threads()) {
    row_blocks = std::max(row_blocks, std::min(pool.threads(), rows / kernels.tile_rows));
  }
  // Enough tasks for every thread, but no more panels apart than there must be: a task reads its rows anew.
  int group = kPanelGroup;
  while (group > 1 && row_blocks * count * (panels / group) < 4 * pool.threads()) group /= 2;
  const int groups = (panels + group - 1) / group;
  // A product that is added up in y has no place beside what it is combined with there.
  const bool apart = finish.scale != nullptr || finish.multiply;
  constexpr size_t kApartSize = kRowBlock * kApartStride;
  float* const all_apart = apart ? scratch.apart.get<float>(pool.threads() * kApartSize) : nullptr;
  const PackedInt8* const int8 = products.front().layer->int8();
  const QuantizedRows quantized = int8 != nullptr
                                      ? quantize_rows(int8->kernels(), pool, x, x_stride, rows, in, scratch.quantized)
                                      : QuantizedRows();

  constexpr size_t kSumsSize = kRowBlock * kPanelGroup * kPanel;
  int32_t* const all_sums = int8 != nullptr ? scratch.sums.get<int32_t>(pool.threads() * kSumsSize) : nullptr;

  pool.run(row_blocks * count * groups, [&](int task, int thread) {
    // The tasks of a row block follow each other: a thread comes to all of them, so its cache holds these rows.
    const int row_block = task / (count * groups);
    const MatrixProduct& product = products[task / groups % count];
    const int first_panel = task % groups * group;
    const int last_panel = std::min(panels, first_panel + group);
    const int first_row = begin_of(rows, row_block, row_blocks);
    const int last_row = begin_of(rows, row_block + 1, row_blocks);
    const int first_column = first_panel * kPanel;
    float* const y = product.y + first_row * product.stride + first_column;
    float* const sums = apart ? all_apart + thread * kApartSize : y;
    const size_t stride = apart ? kApartStride : product.stride;
    const bool add = finish.add && !apart;
    // Tiles of almost the same size: tile(row, rows, its place in a panel's sums, which one of how many)
    const auto over_tiles = [&](int panel, int tile_rows, const auto& tile) {
      const int block_rows = last_row - first_row, tiles = parts_of(block_rows, tile_rows);
      float* const c = sums + (panel - first_panel) * kPanel;
      for (int i = 0; i < tiles; ++i) {
        const int row = begin_of(block_rows, i, tiles), next_row = begin_of(block_rows, i + 1, tiles);
        tile(first_row + row, next_row - row, c + row * stride, i, tiles);
      }
    };
    const int most_in = int8 != nullptr ? kInt8Block : kernels.input_block;
    for (int first_in = 0; first_in < in; first_in += most_in) {
      const int k = std::min(most_in, in - first_in);
      const bool last_block = first_in + k == in;
      for (int panel = first_panel; panel < last_panel; ++panel) {
        const PackedLinear& layer = *product.layer;
        if (int8 != nullptr) {
          over_tiles(panel, int8->kernels().tile_rows, [&](int row, int tile_rows, float* c, int, int) {
            int32_t* tile_sums = all_sums + thread * kSumsSize;
            if (in > kInt8Block) tile_sums += ((panel - first_panel) * kRowBlock + row - first_row) * kPanel;
            int8_tile(layer, out, in, panel, first_in, k, quantized, row, tile_rows, add, tile_sums, c, stride);
          });
          continue;
        }
        // The next panel, then the first one's next block, at last the next group of whoever comes to it.
        const bool last = panel + 1 == last_panel;
        const int next_panel = last && !last_block ? first_panel : (panel + 1) % panels;
        const int next_in = !last ? first_in : last_block ? 0 : first_in + k;
        const PanelRows block = layer.rows(panel, first_in);
        const float* bias = last_block ? layer.bias() + panel * kPanel : nullptr;
        over_tiles(panel, layer.tile_rows(kernels), [&](int row, int tile_rows, float* c, int part, int parts) {
          tile_of(kernels, std::min(kPanel, out - panel * kPanel), tile_rows, x + row * x_stride + first_in, x_stride,
                  block, k, first_in > 0 || add, bias, c, stride, layer.ahead(next_panel, next_in, k, part, parts));
        });
      }
    }
    const int columns = std::min(out, last_panel * kPanel) - first_column;
    for (int row = first_row; row < last_row && !apart; ++row) {
      activate(kernels, finish.activation, y + (row - first_row) * stride, columns);
    }
    for (int row = first_row; row < last_row && apart; ++row) {
      combine(kernels, finish, row, first_column, columns, sums + (row - first_row) * stride,
              y + (row - first_row) * product.stride);
    }
  });
}

}  // namespace magnets::cpu
