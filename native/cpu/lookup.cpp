#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Lookup& op) {
  const int32_t* ids = cpu(op.ids).row<int32_t>(0);
  over_rows(op.rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      float* y = cpu(op.y).row<float>(row);
      std::copy_n(cpu(op.positions).row<float>(row % op.sequence), op.columns, y);
      cpu(op.table).add(ids[row], op.columns, y);
    }
  });
}

}  // namespace magnets::cpu
