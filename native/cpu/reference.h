// What the operations of backend.h mean, as plain loops in double precision. For tests only.
#pragma once

#include <cstdint>
#include <vector>

#include "../backend.h"

namespace magnets::reference {

/// Row-major [rows, columns].
struct Matrix {
  Matrix(int rows, int columns) : rows(rows), columns(columns), values(static_cast<size_t>(rows) * columns) {}
  double& at(int row, int column) { return values[static_cast<size_t>(row) * columns + column]; }
  double at(int row, int column) const { return values[static_cast<size_t>(row) * columns + column]; }
  int rows, columns;
  std::vector<double> values;
};

double gelu(double x);
double gelu_tanh(double x);

/// y[:x.rows, :out] = epilogue(x[:, :in] · W[:out, :in]ᵀ + b[:out])
void linear(const Matrix& weight, const std::vector<double>& bias, int out, int in, const Matrix& x, Epilogue epilogue,
            Matrix& y);

/// y = LN(x) · weight + bias, row by row
void layer_norm(const Matrix& x, const std::vector<double>& weight, const std::vector<double>& bias, double epsilon,
                Matrix& y);

/// One branch: q [rows, heads * head_dim], keys and values [S, heads * head_dim].
void attention(const Matrix& q, const Matrix& keys, const Matrix& values, int heads, Matrix& out);

/// One position: the scores that sampling takes the largest of (-infinity outside the top k), and the log softmax that
/// confidence starts from.
struct Scores {
  std::vector<double> choice;
  std::vector<double> log_probability;
  double choice_noise;
};
Scores sample(const std::vector<double>& with, const std::vector<double>& without, const Sampling& sampling,
              uint32_t position, uint32_t sample_key, uint64_t seed);

}  // namespace magnets::reference
