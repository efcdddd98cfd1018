#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Lookup& op) {
  const int32_t* ids = cpu(op.ids).row<int32_t>(0);
  over_rows(op.rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      float* y = cpu(op.y).row<float>(row);
      if (op.positions != nullptr) {
        std::copy_n(cpu(*op.positions).row<float>(row % op.sequence), op.columns, y);
      } else {
        std::fill_n(y, op.columns, 0.0f);
      }
      cpu(op.table).add(ids[row], op.columns, y);
    }
  });
}

}  // namespace magnets::cpu
