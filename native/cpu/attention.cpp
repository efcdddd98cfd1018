// Attention of a few query rows of one branch and head at a time: scores, softmax and the mix of values, with the same
// micro-kernel as the matrix products. All scores of a row are kept, so softmax is exact; 56 rows of 1025 positions are
// 240 kB, within the second cache.
#include <algorithm>
#include <cmath>

#include "cpu_stream.h"
#include "parts.h"

namespace magnets::cpu {

namespace {

constexpr int kQueryRows = 56;

/// Rows first .. last of a branch, and a head.
struct Task {
  int branch, head, first, last;
};

/// offsets: where each branch's rows begin.
std::vector<Task> tasks_of(const int32_t* offsets, int branches, int heads) {
  std::vector<Task> tasks;
  for (int branch = 0; branch < branches; ++branch) {
    for (int head = 0; head < heads; ++head) {
      const int begin = offsets[branch], rows = offsets[branch + 1] - begin, parts = parts_of(rows, kQueryRows);
      for (int part = 0; part < parts; ++part) {
        tasks.push_back({branch, head, begin + begin_of(rows, part, parts), begin + begin_of(rows, part + 1, parts)});
      }
    }
  }
  return tasks;
}

}  // namespace

void CpuStream::do_run(const Attention& op) {
  const int head_dim = op.head_dim;
  const CpuKvCache& store = cpu(op.cache);
  const CpuBuffer& queries = cpu(op.q);
  const CpuBuffer& target = cpu(op.out);
  const int positions = store.positions();
  const int panels = panels_of(positions);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));

  const std::vector<Task> tasks = tasks_of(cpu(op.rows.offsets).row<int32_t>(0), op.rows.branches, op.heads);
  const size_t stride = static_cast<size_t>(panels) * kPanel + 16;
  float* scores = scores_.get<float>(pool_->threads() * kQueryRows * stride);

  pool_->run(static_cast<int>(tasks.size()), [&](int task, int thread) {
    const Task& mine = tasks[task];
    const int branch = mine.branch, head = mine.head, first = mine.first, last = mine.last;
    const float* keys = store.keys(op.layer, branch, head);
    const float* values = store.values(op.layer, branch, head);
    float* score = scores + thread * kQueryRows * stride;

    const int rows = last - first, tiles = parts_of(rows, kernels_.tile_rows);
    // body(its first row of the task's, rows)
    const auto over_tiles = [&](const auto& body) {
      for (int i = 0; i < tiles; ++i)
        body(begin_of(rows, i, tiles), begin_of(rows, i + 1, tiles) - begin_of(rows, i, tiles));
    };

    for (int panel = 0; panel < panels; ++panel, keys += static_cast<size_t>(head_dim) * kPanel) {
      over_tiles([&](int row, int count) {
        kernels_.tile(count, queries.row<float>(first + row) + head * head_dim, queries.stride(), keys, head_dim, false,
                      nullptr, score + row * stride + panel * kPanel, stride, {keys, 0});
      });
    }

    float inverse[kQueryRows];
    for (int row = 0; row < rows; ++row) {
      inverse[row] = 1.0f / kernels_.softmax(score + row * stride, positions, scale);
    }

    alignas(kAlignment) float mixed[kQueryRows * kPanel];
    const int blocks = parts_of(positions, kernels_.input_block);
    for (int column = 0; column < head_dim; column += kPanel, values += store.value_panel()) {
      for (int block = 0; block < blocks; ++block) {
        const int position = begin_of(positions, block, blocks);
        const float* some = values + static_cast<size_t>(position) * kPanel;
        over_tiles([&](int row, int count) {
          kernels_.tile(count, score + row * stride + position, stride, some,
                        begin_of(positions, block + 1, blocks) - position, block > 0, nullptr, mixed + row * kPanel,
                        kPanel, {some, 0});
        });
      }
      const int columns = std::min(kPanel, head_dim - column);
      for (int row = 0; row < rows; ++row) {
        float* to = target.row<float>(first + row) + head * head_dim + column;
        for (int j = 0; j < columns; ++j) to[j] = mixed[row * kPanel + j] * inverse[row];
      }
    }
  });
}

}  // namespace magnets::cpu
