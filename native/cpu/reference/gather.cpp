#include "reference.h"

namespace magnets::reference {

Matrix gather(const Matrix& x, const std::vector<int32_t>& index) {
  Matrix y(static_cast<int>(index.size()), x.columns);
  for (int row = 0; row < y.rows; ++row) {
    for (int i = 0; i < x.columns; ++i) y.at(row, i) = x.at(index[row], i);
  }
  return y;
}

}  // namespace magnets::reference
