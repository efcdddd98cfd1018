#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const ArgMax& op) {
  int32_t* index = cpu(op.index).row<int32_t>(0);
  over_rows(op.rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const float* x = cpu(op.x).row<float>(row);
      index[row] = static_cast<int32_t>(std::max_element(x, x + op.columns) - x);
    }
  });
}

}  // namespace magnets::cpu
