#include <algorithm>
#include <cmath>

#include "reference.h"

namespace magnets::reference {

Matrix softmax(const Matrix& x, int columns) {
  Matrix y(x.rows, columns);
  for (int row = 0; row < x.rows; ++row) {
    double most = x.at(row, 0), sum = 0;
    for (int i = 1; i < columns; ++i) most = std::max(most, x.at(row, i));
    for (int i = 0; i < columns; ++i) sum += y.at(row, i) = std::exp(x.at(row, i) - most);
    for (int i = 0; i < columns; ++i) y.at(row, i) /= sum;
  }
  return y;
}

}  // namespace magnets::reference
