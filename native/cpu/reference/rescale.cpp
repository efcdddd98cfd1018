#include <cmath>

#include "reference.h"

namespace magnets::reference {

Matrix rescale(const Matrix& x, const Matrix& scale_shift, const Grid& grid, bool silu) {
  Matrix y(x.rows, x.columns);
  for (int row = 0; row < x.rows; ++row) {
    const int sample = row / (grid.height * grid.width);
    for (int i = 0; i < x.columns; ++i) {
      const double value = x.at(row, i) * scale_shift.at(sample, i) + scale_shift.at(sample, x.columns + i);
      y.at(row, i) = silu ? value / (1 + std::exp(-value)) : value;
    }
  }
  return y;
}

}  // namespace magnets::reference
