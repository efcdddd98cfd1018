#include <cmath>

#include "reference.h"

namespace magnets::reference {

namespace {

/// (x - mean) / sqrt(mean of (x - mean)² + epsilon), with the mean 0 for an RMSNorm
Matrix unscaled(const Matrix& x, NormKind kind, double epsilon) {
  Matrix y(x.rows, x.columns);
  for (int row = 0; row < x.rows; ++row) {
    double mean = 0, variance = 0;
    for (int i = 0; i < x.columns && kind == NormKind::layer_norm; ++i) mean += x.at(row, i) / x.columns;
    for (int i = 0; i < x.columns; ++i) variance += std::pow(x.at(row, i) - mean, 2) / x.columns;
    for (int i = 0; i < x.columns; ++i) y.at(row, i) = (x.at(row, i) - mean) / std::sqrt(variance + epsilon);
  }
  return y;
}

}  // namespace

Matrix normalize(const Matrix& x, const NormValues& norm) {
  Matrix y = unscaled(x, norm.kind, norm.epsilon);
  for (int row = 0; row < x.rows; ++row) {
    for (int i = 0; i < x.columns; ++i) y.at(row, i) = y.at(row, i) * norm.weight[i] + norm.bias[i];
  }
  return y;
}

Matrix modulated_norm(const Matrix& x, NormKind kind, double epsilon, const Matrix& weight, const Matrix& shift,
                      const std::vector<int>& branch) {
  Matrix y = unscaled(x, kind, epsilon);
  for (int row = 0; row < x.rows; ++row) {
    for (int i = 0; i < x.columns; ++i) {
      y.at(row, i) = y.at(row, i) * weight.at(branch[row], i) + shift.at(branch[row], i);
    }
  }
  return y;
}

Matrix qk_norm(const Matrix& x, double epsilon) { return unscaled(x, NormKind::rms_norm, epsilon); }

}  // namespace magnets::reference
