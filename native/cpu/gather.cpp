#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Gather& op) {
  const CpuBuffer& x = cpu(op.x.x);
  const CpuBuffer& y = cpu(op.y);
  const int32_t* index = cpu(op.index).row<int32_t>(0);
  over_rows(op.count, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const float* source = x.row<float>(index[row]);
      if (op.x.norm != nullptr) {
        normalize_row(source, *op.x.norm, op.columns, y.row<float>(row));  // of the rows that are wanted alone
      } else {
        std::copy_n(source, op.columns, y.row<float>(row));
      }
    }
  });
}

}  // namespace magnets::cpu
