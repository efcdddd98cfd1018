#include "reference.h"

namespace magnets::reference {

Matrix convolution(const Matrix& kernel, const std::vector<double>& bias, const Matrix& x, const Grid& grid,
                   Resampling resampling) {
  const Grid larger = resampling == Resampling::up ? resampled(grid, resampling) : grid;
  const Grid target = resampled(grid, resampling);
  const int up = resampling == Resampling::up ? 2 : 1, step = resampling == Resampling::down ? 2 : 1;
  const int before = resampling == Resampling::down ? 0 : 1;
  Matrix y(target.rows(), kernel.rows);
  for (int row = 0; row < y.rows; ++row) {
    const int sample = row / (target.height * target.width);
    const int line = row / target.width % target.height, column = row % target.width;
    for (int o = 0; o < kernel.rows; ++o) {
      double sum = bias[o];
      for (int tap = 0; tap < 9; ++tap) {
        const int from = line * step - before + tap / 3, left = column * step - before + tap % 3;
        if (from < 0 || from >= larger.height || left < 0 || left >= larger.width) continue;
        const int pixel = (sample * grid.height + from / up) * grid.width + left / up;
        for (int i = 0; i < x.columns; ++i) sum += x.at(pixel, i) * kernel.at(o, tap * x.columns + i);
      }
      y.at(row, o) = sum;
    }
  }
  return y;
}

}  // namespace magnets::reference
