#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const ArgMax& op) {
  int32_t* index = cpu(op.index).row<int32_t>(0);
  over_rows(op.rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      index[row] = kernels_.largest(cpu(op.x).row<float>(row), op.columns);
    }
  });
}

}  // namespace magnets::cpu
