#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Rescale& op) {
  const int pixels = op.grid.height * op.grid.width;
  over_rows(op.grid.rows(), [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const float* scale = cpu(op.scale_shift).row<float>(row / pixels);
      kernels_.rescale(cpu(op.x).row<float>(row), scale, scale + op.channels, op.channels, op.silu,
                       cpu(op.y).row<float>(row));
    }
  });
}

}  // namespace magnets::cpu
