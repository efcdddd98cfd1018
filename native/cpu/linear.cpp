// Matrix products on packed weights. A task is a block of rows times a few panels; inside it the inputs are taken in
// blocks, so that a panel's block stays in the first cache while the rows pass by.
#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

constexpr int kInputBlock = 256;
constexpr int kRowBlock = 144;
constexpr int kPanelGroup = 4;

void finish(const Kernels& kernels, Epilogue epilogue, const float* bias, int rows, int columns, float* c,
            size_t c_stride) {
  for (int row = 0; row < rows; ++row, c += c_stride) {
    kernels.add(c, bias, columns);
    if (epilogue == Epilogue::gelu) kernels.gelu(c, columns);
    if (epilogue == Epilogue::gelu_tanh) kernels.gelu_tanh(c, columns);
  }
}

/// One tile of one block of inputs. The last panel may stick out of y: it is computed beside and copied.
void product_tile(const Kernels& kernels, const MatrixProduct& product, int out, int in, int panel, int first_in,
                  const float* x, size_t x_stride, int row, int rows, Epilogue epilogue) {
  const int k = std::min(kInputBlock, in - first_in);
  const int column = panel * kPanel;
  const int columns = std::min(kPanel, out - column);
  const bool accumulate = first_in > 0 || epilogue == Epilogue::add;
  const bool last = first_in + k == in;
  const float* a = x + row * x_stride + first_in;
  float* y = product.y + row * product.stride + column;
  const float* bias = product.layer->bias() + column;

  if (columns == kPanel) {
    product.layer->tile(kernels, panel, first_in, k, rows, a, x_stride, accumulate, y, product.stride);
    if (last) finish(kernels, epilogue, bias, rows, kPanel, y, product.stride);
    return;
  }
  constexpr int kMostRows = 16;
  alignas(kAlignment) float beside[kMostRows * kPanel] = {};
  if (accumulate) {
    for (int i = 0; i < rows; ++i) std::copy_n(y + i * product.stride, columns, beside + i * kPanel);
  }
  product.layer->tile(kernels, panel, first_in, k, rows, a, x_stride, accumulate, beside, kPanel);
  if (last) finish(kernels, epilogue, bias, rows, columns, beside, kPanel);
  for (int i = 0; i < rows; ++i) std::copy_n(beside + i * kPanel, columns, y + i * product.stride);
}

}  // namespace

void multiply(const Kernels& kernels, ThreadPool& pool, const std::vector<MatrixProduct>& products, int out, int in,
              const float* x, size_t x_stride, int rows, Epilogue epilogue) {
  const int panels = (out + kPanel - 1) / kPanel;
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
                       std::min(kernels.tile_rows, last_row - row), epilogue);
        }
      }
    }
  });
}

void CpuStream::linear(const Linear& layer, int out, int in, const Buffer& x, int rows, Epilogue epilogue, Part part,
                       Buffer& y) {
  multiply(kernels_, *pool_, {{&cpu(layer), cpu(y).row<float>(0), cpu(y).stride()}}, out, in, cpu(x).row<float>(0),
           cpu(x).stride(), rows, epilogue);
  flops.add(part, uint64_t{2} * rows * out * in);
}

void CpuStream::project_qkv(const Linear& query, const Linear& key, const Linear& value, int heads, int head_dim,
                            int in, const Buffer& x, const Rows& rows, int layer, Part part, KvCache& cache,
                            Buffer& q) {
  const int count = rows.count();
  const int inner = heads * head_dim;
  if (count > projected_rows_ || inner > projected_columns_) {
    projected_rows_ = std::max(count, projected_rows_);
    projected_columns_ = std::max(inner, projected_columns_);
    keys_ = std::make_unique<CpuBuffer>(ElementType::activation, projected_rows_, projected_columns_);
    values_ = std::make_unique<CpuBuffer>(ElementType::activation, projected_rows_, projected_columns_);
  }
  multiply(kernels_, *pool_,
           {{&cpu(query), cpu(q).row<float>(0), cpu(q).stride()},
            {&cpu(key), keys_->row<float>(0), keys_->stride()},
            {&cpu(value), values_->row<float>(0), values_->stride()}},
           inner, in, cpu(x).row<float>(0), cpu(x).stride(), count, Epilogue::store);
  flops.add(part, uint64_t{3} * 2 * count * inner * in);

  const CpuKvCache& store = cpu(cache);
  const int32_t* index = cpu(rows.index).row<int32_t>(0);
  over_rows(count, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const int branch = index[row] / rows.positions;
      const int position = index[row] % rows.positions;
      for (int head = 0; head < heads; ++head) {
        const float* k = keys_->row<float>(row) + head * head_dim;
        const float* v = values_->row<float>(row) + head * head_dim;
        float* to_k = store.keys(layer, branch, head) + static_cast<size_t>(position / kPanel) * head_dim * kPanel +
                      position % kPanel;
        float* to_v = store.values(layer, branch, head) + static_cast<size_t>(position) * kPanel;
        for (int i = 0; i < head_dim; ++i) to_k[static_cast<size_t>(i) * kPanel] = k[i];
        for (int i = 0; i < head_dim; i += kPanel, to_v += store.value_panel()) {
          std::copy_n(v + i, std::min(kPanel, head_dim - i), to_v);
        }
      }
    }
  });
}

}  // namespace magnets::cpu
