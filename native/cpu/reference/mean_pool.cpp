#include "reference.h"

namespace magnets::reference {

Matrix mean_pool(const Matrix& x, const Grid& grid) {
  const Grid target = resampled(grid, Resampling::down);
  Matrix y(target.rows(), x.columns);
  for (int row = 0; row < y.rows; ++row) {
    const int line = row / target.width, column = row % target.width;  // lines of all samples
    for (int i = 0; i < x.columns; ++i) {
      for (int pixel = 0; pixel < 4; ++pixel) {
        y.at(row, i) += x.at((2 * line + pixel / 2) * grid.width + 2 * column + pixel % 2, i) / 4;
      }
    }
  }
  return y;
}

}  // namespace magnets::reference
