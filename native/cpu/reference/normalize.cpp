#include <cmath>

#include "reference.h"

namespace magnets::reference {

Matrix normalize(const Matrix& x, const NormValues& norm) {
  Matrix y(x.rows, x.columns);
  for (int row = 0; row < x.rows; ++row) {
    double mean = 0, variance = 0;
    for (int i = 0; i < x.columns; ++i) mean += x.at(row, i) / x.columns;
    for (int i = 0; i < x.columns; ++i) variance += std::pow(x.at(row, i) - mean, 2) / x.columns;
    for (int i = 0; i < x.columns; ++i) {
      y.at(row, i) = (x.at(row, i) - mean) / std::sqrt(variance + norm.epsilon) * norm.weight[i] + norm.bias[i];
    }
  }
  return y;
}

}  // namespace magnets::reference
