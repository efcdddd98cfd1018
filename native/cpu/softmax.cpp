#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Softmax& op) {
  over_rows(op.rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      float* y = cpu(op.y).row<float>(row);
      std::copy_n(cpu(op.x).row<float>(row), op.columns, y);
      const float scale = 1.0f / kernels_.softmax(y, op.columns, 1.0f);
      std::transform(y, y + op.columns, y, [&](float value) { return value * scale; });
    }
  });
}

}  // namespace magnets::cpu
