// Operations that move rows: which to compute, embeddings, gathering, LayerNorm.
#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::select_rows(const Buffer& state, int samples, int tokens, bool refresh, bool head_all,
                            const Selection& selection, Buffer& rows, Buffer& head) {
  const int branches = static_cast<int>(selection.row_start.size()) - 1;
  int32_t* row = cpu(rows).row<int32_t>(0);
  int32_t* needed = cpu(head).row<int32_t>(0);
  int32_t count = 0;
  for (int branch = 0; branch < branches; ++branch) {
    const uint8_t* states = cpu(state).row<uint8_t>(branch % samples);
    for (int position = 0; position <= tokens; ++position) {
      const uint8_t at = position == 0 ? uint8_t{kKnown} : states[position - 1];
      if (!refresh && at == kKnown) continue;
      *row++ = branch * (tokens + 1) + position;
      if (head_all || at == kMasked) *needed++ = count;
      ++count;
    }
  }
}

void CpuStream::embed(const Linear* words, const Buffer& positions, const Buffer* ids, const Buffer* class_ids,
                      int samples, const Rows& rows, const Norm* norm, int width, Buffer& x) {
  const int32_t* index = cpu(rows.index).row<int32_t>(0);
  over_rows(rows.count(), [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const int branch = index[row] / rows.positions;
      const int position = index[row] % rows.positions;
      float* to = cpu(x).row<float>(row);
      std::copy_n(cpu(positions).row<float>(position), width, to);
      if (words != nullptr) {
        const int32_t* tokens = cpu(*ids).row<int32_t>(branch % samples);
        const int32_t id = class_ids == nullptr ? tokens[position]
                           : position == 0      ? cpu(*class_ids).row<int32_t>(0)[branch]
                                                : tokens[position - 1];
        for (int i = 0; i < width; ++i) to[i] += cpu(*words).weight(id, i);
      }
      if (norm != nullptr) normalize(to, *norm, width, to);
    }
  });
}

void CpuStream::gather(const Buffer& x, const Buffer& index, int count, const Norm* norm, int width, Buffer& y) {
  const int32_t* from = cpu(index).row<int32_t>(0);
  over_rows(count, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const float* source = cpu(x).row<float>(from[row]);
      if (norm != nullptr) {
        normalize(source, *norm, width, cpu(y).row<float>(row));
      } else {
        std::copy_n(source, width, cpu(y).row<float>(row));
      }
    }
  });
}

void CpuStream::layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) {
  over_rows(rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) normalize(cpu(x).row<float>(row), norm, width, cpu(y).row<float>(row));
  });
}

void CpuStream::normalize(const float* x, const Norm& norm, int width, float* y) const {
  kernels_.layer_norm(x, cpu(*norm.weight).row<float>(0), cpu(*norm.bias).row<float>(0), norm.epsilon, width, y);
}

}  // namespace magnets::cpu
