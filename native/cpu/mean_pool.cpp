#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const MeanPool& op) {
  const CpuBuffer& x = cpu(op.x);
  const int height = op.grid.height / 2, width = op.grid.width / 2;
  over_rows(op.grid.samples * height * width, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const int line = row / width, column = row % width;  // lines of all samples
      const int above = 2 * line * op.grid.width + 2 * column, below = above + op.grid.width;
      const float* pixels[] = {x.row<float>(above), x.row<float>(above + 1), x.row<float>(below),
                               x.row<float>(below + 1)};
      float* y = cpu(op.y).row<float>(row);
      for (int i = 0; i < op.channels; ++i) {
        y[i] = 0.25f * ((pixels[0][i] + pixels[1][i]) + (pixels[2][i] + pixels[3][i]));
      }
    }
  });
}

}  // namespace magnets::cpu
