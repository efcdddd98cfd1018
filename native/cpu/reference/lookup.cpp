#include "reference.h"

namespace magnets::reference {

Matrix lookup(const Matrix& table, const std::vector<int32_t>& ids, const Matrix& positions) {
  Matrix y(static_cast<int>(ids.size()), table.columns);
  for (int row = 0; row < y.rows; ++row) {
    for (int i = 0; i < y.columns; ++i) {
      y.at(row, i) = table.at(ids[row], i) + positions.at(row % positions.rows, i);
    }
  }
  return y;
}

}  // namespace magnets::reference
