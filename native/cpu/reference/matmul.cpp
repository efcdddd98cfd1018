#include <cmath>

#include "reference.h"

namespace magnets::reference {

double activate(Activation activation, double x) {
  if (activation == Activation::gelu) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::gelu_tanh) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  if (activation == Activation::silu) return x / (1 + std::exp(-x));
  if (activation == Activation::tanh) return std::tanh(x);
  return x;
}

void matmul(const Matrix& weight, const std::vector<double>& bias, int out, int in, const Matrix& x,
            Activation activation, const Matrix* residual, Matrix& y) {
  for (int row = 0; row < x.rows; ++row) {
    for (int o = 0; o < out; ++o) {
      double sum = bias[o];
      for (int i = 0; i < in; ++i) sum += x.at(row, i) * weight.at(o, i);
      sum = activate(activation, sum);
      y.at(row, o) = residual != nullptr ? residual->at(row, o) + sum : sum;
    }
  }
}

}  // namespace magnets::reference
