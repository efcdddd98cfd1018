#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Embed& op) {
  const int32_t* index = cpu(op.rows.index).row<int32_t>(0);
  const int32_t* first_ids = cpu(op.first_ids).row<int32_t>(0);
  over_rows(op.rows.count, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const int branch = index[row] / op.rows.positions;
      const int position = index[row] % op.rows.positions;
      const int32_t* ids = cpu(op.ids).row<int32_t>(branch % op.samples);
      float* x = cpu(op.x).row<float>(row);
      std::copy_n(cpu(op.positions).row<float>(position), op.columns, x);
      cpu(op.table).add(position == 0 ? first_ids[branch] : ids[position - 1], op.columns, x);
      if (op.norm != nullptr) normalize_row(x, *op.norm, op.columns, x);
    }
  });
}

}  // namespace magnets::cpu
