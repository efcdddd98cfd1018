// Attention of a few query rows of one branch and head at a time: scores, softmax and the mix of values, with the same
// micro-kernel as the matrix products. All scores of a row are kept, so softmax is exact; 48 rows of 1025 positions are
// 200 kB, within the second cache.
#include <algorithm>
#include <cmath>

#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

constexpr int kQueryRows = 48;

}  // namespace

void CpuStream::do_run(const Attention& op) {
  const int head_dim = op.head_dim;
  const CpuKvCache& store = cpu(op.cache);
  const CpuBuffer& queries = cpu(op.q);
  const CpuBuffer& target = cpu(op.out);
  const int32_t* offsets = cpu(op.rows.offsets).row<int32_t>(0);
  const int positions = store.positions();
  const int panels = panels_of(positions);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));

  struct Task {
    int branch, head, first, last;
  };
  std::vector<Task> tasks;
  for (int branch = 0; branch < op.rows.branches; ++branch) {
    for (int head = 0; head < op.heads; ++head) {
      for (int first = offsets[branch]; first < offsets[branch + 1]; first += kQueryRows) {
        tasks.push_back({branch, head, first, std::min(first + kQueryRows, offsets[branch + 1])});
      }
    }
  }
  const size_t stride = static_cast<size_t>(panels) * kPanel + 16;
  float* scores = scores_.get<float>(pool_->threads() * kQueryRows * stride);

  pool_->run(static_cast<int>(tasks.size()), [&](int task, int thread) {
    const auto [branch, head, first, last] = tasks[task];
    const float* keys = store.keys(op.layer, branch, head);
    const float* values = store.values(op.layer, branch, head);
    float* score = scores + thread * kQueryRows * stride;

    for (int panel = 0; panel < panels; ++panel) {
      for (int row = first; row < last; row += kernels_.tile_rows) {
        kernels_.tile_f32(std::min(kernels_.tile_rows, last - row), queries.row<float>(row) + head * head_dim,
                          queries.stride(), keys + static_cast<size_t>(panel) * head_dim * kPanel, head_dim, false,
                          score + (row - first) * stride + panel * kPanel, stride);
      }
    }

    float inverse[kQueryRows];
    for (int row = first; row < last; ++row) {
      inverse[row - first] = 1.0f / kernels_.softmax(score + (row - first) * stride, positions, scale);
    }

    constexpr int kMostRows = 16;
    alignas(kAlignment) float mixed[kMostRows * kPanel];
    for (int column = 0; column < head_dim; column += kPanel, values += store.value_panel()) {
      const int columns = std::min(kPanel, head_dim - column);
      for (int row = first; row < last; row += kernels_.tile_rows) {
        const int count = std::min(kernels_.tile_rows, last - row);
        kernels_.tile_f32(count, score + (row - first) * stride, stride, values, positions, false, mixed, kPanel);
        for (int i = 0; i < count; ++i) {
          float* to = target.row<float>(row + i) + head * head_dim + column;
          for (int j = 0; j < columns; ++j) to[j] = mixed[i * kPanel + j] * inverse[row + i - first];
        }
      }
    }
  });
}

}  // namespace magnets::cpu
