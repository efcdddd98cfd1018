#include "reference.h"

namespace magnets::reference {

std::vector<int32_t> argmax(const Matrix& x, int columns) {
  std::vector<int32_t> index(x.rows);
  for (int row = 0; row < x.rows; ++row) {
    for (int i = 1; i < columns; ++i) {
      if (x.at(row, i) > x.at(row, index[row])) index[row] = i;
    }
  }
  return index;
}

}  // namespace magnets::reference
