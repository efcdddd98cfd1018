// A test program counts what it checked, names what failed and says so with its exit code.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../native/cpu/reference/reference.h"
#include "../../native/ops/backend.h"
#include "subjects.h"

namespace magnets::test {

inline int passed = 0, failed = 0;

inline void check(bool condition, const std::string& what) {
  ++(condition ? passed : failed);
  if (condition) return;
  std::printf("failed: %s\n", what.c_str());
  if (std::getenv("MAGNETS_STOP_AT_FAILURE") != nullptr) std::exit(1);
}

/// The last line of main.
inline int report(const char* name) {
  std::printf("%s: %d passed, %d failed\n", name, passed, failed);
  return failed > 0 || passed == 0;
}

/// |actual - expected| <= bound, and a number.
inline void check_near(double actual, double expected, double bound, const std::string& what) {
  const bool near = std::abs(actual - expected) <= bound;
  if (near) {
    ++passed;
  } else {
    check(false, what + ": " + std::to_string(actual) + " for " + std::to_string(expected) + ", bound " +
                     std::to_string(bound));
  }
}

/// The largest difference; infinite where the sizes differ or a number is NaN.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double one = std::abs(static_cast<double>(a[i]) - b[i]);
    if (std::isnan(one)) return INFINITY;
    most = std::max(most, one);
  }
  return most;
}

/// "CODE message" of the Error that `body` throws; empty where it throws none.
template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code + " " + error.what();
  }
  return "";
}

/// Numbers in [-1, 1) that are exact in every type of activations: they have 8 bits.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  int below(int n) { return static_cast<int>(bits() % n); }
  double value() { return (below(256) - 128) / 128.0; }
  reference::Matrix matrix(int rows, int columns) {
    reference::Matrix matrix(rows, columns);
    for (double& x : matrix.values) x = value();
    return matrix;
  }

 private:
  uint64_t state_;
};

inline std::vector<float> to_floats(const reference::Matrix& matrix) {
  return {matrix.values.begin(), matrix.values.end()};
}

/// Whatever an operation must not touch holds this; exact in every type.
constexpr float kGuard = -12288.0f;

/// A buffer with `matrix` in its first rows and columns, guard values in two more rows and some more columns, or heads.
struct Guarded {
  static constexpr int kMoreRows = 2, kMoreColumns = 37, kMoreHeads = 2;

  Guarded(Backend& backend, Stream& stream, const reference::Matrix& matrix, ElementType type = ElementType::activation)
      : rows(matrix.rows + kMoreRows),
        columns(matrix.columns + kMoreColumns),
        buffer(backend.allocate(type, rows, columns)) {
    fill(stream, matrix);
  }
  /// Zeros for heads.
  Guarded(Backend& backend, Stream& stream, int rows, int heads, int head_dim)
      : rows(rows + kMoreRows),
        columns((heads + kMoreHeads) * head_dim),
        buffer(backend.allocate_heads(this->rows, heads + kMoreHeads, head_dim)) {
    fill(stream, reference::Matrix(rows, heads * head_dim));
  }

  void fill(Stream& stream, const reference::Matrix& matrix) {
    std::vector<float> values(static_cast<size_t>(rows) * columns, kGuard);
    for (int row = 0; row < matrix.rows; ++row) {
      for (int i = 0; i < matrix.columns; ++i) values[static_cast<size_t>(row) * columns + i] = matrix.at(row, i);
    }
    stream.upload(values.data(), rows, columns, *buffer);
  }

  /// All of it; checks that nothing but the first [used_rows, used_columns] was written.
  std::vector<float> read(Stream& stream, int used_rows, int used_columns, const std::string& what) {
    std::vector<float> values(static_cast<size_t>(rows) * columns);
    stream.download(*buffer, rows, columns, values.data());
    bool intact = true;
    for (int row = 0; row < rows; ++row) {
      for (int i = 0; i < columns; ++i) {
        if (row < used_rows && i < used_columns) continue;
        intact = intact && values[static_cast<size_t>(row) * columns + i] == kGuard;
      }
    }
    check(intact, what + ": wrote outside");
    return values;
  }

  int rows, columns;
  std::unique_ptr<Buffer> buffer;
};

/// Positions of three branches for `rows` rows, not the same number of each.
inline std::vector<std::vector<int>> rows_of_branches(int rows, int positions) {
  std::vector<std::vector<int>> branches(3);
  for (int row = 0; row < rows; ++row) {
    const int branch = row < rows / 2 ? 0 : row < rows - rows / 4 ? 1 : 2;
    branches[branch].push_back(positions - rows + row);  // ascending
  }
  return branches;
}

/// What a Rows refers to, for the positions that are listed branch by branch.
struct RowList {
  RowList(Backend& backend, Stream& stream, const std::vector<std::vector<int>>& positions_of_branch, int positions)
      : positions(positions) {
    for (size_t branch = 0; branch < positions_of_branch.size(); ++branch) {
      for (const int position : positions_of_branch[branch]) {
        values.push_back(static_cast<int32_t>(branch) * positions + position);
      }
      start.push_back(static_cast<int32_t>(values.size()));
      most = std::max(most, static_cast<int>(positions_of_branch[branch].size()));
    }
    index = upload_new(backend, stream, ElementType::i32, 1, static_cast<int>(values.size()), values);
    offsets = upload_new(backend, stream, ElementType::i32, 1, static_cast<int>(start.size()), start);
  }
  Rows rows() const {
    return {.index = *index,
            .offsets = *offsets,
            .branches = static_cast<int>(start.size()) - 1,
            .positions = positions,
            .count = static_cast<int>(values.size()),
            .most = most};
  }

  std::vector<int32_t> values;       // [count]
  std::vector<int32_t> start = {0};  // [branches + 1]
  std::unique_ptr<Buffer> index, offsets;
  /// Of each row.
  std::vector<int> branches() const {
    std::vector<int> branches;
    for (const int32_t value : values) branches.push_back(value / positions);
    return branches;
  }

  int positions;
  int most = 0;
};

/// Random vectors of `branches`, in columns first .. first + columns of a buffer.
struct RandomVectors {
  RandomVectors(Backend& backend, Stream& stream, Random& random, int branches, int columns, int first)
      : values(random.matrix(branches, columns)), first(first) {
    std::vector<float> padded;
    for (int branch = 0; branch < branches; ++branch) {
      padded.insert(padded.end(), first, NAN);
      for (int i = 0; i < columns; ++i) padded.push_back(static_cast<float>(values.at(branch, i)));
    }
    buffer = upload_new(backend, stream, ElementType::f32, branches, first + columns, padded);
  }
  BranchVectors vectors() const { return {.values = *buffer, .first = first}; }

  reference::Matrix values;
  int first;
  std::unique_ptr<Buffer> buffer;
};

/// A norm of random numbers, for a device and for the reference.
struct RandomNorm {
  RandomNorm(Backend& backend, Stream& stream, Random& random, int columns, NormKind kind = NormKind::layer_norm,
             bool has_bias = true) {
    values.epsilon = norm.epsilon = 1e-6f;
    values.kind = norm.kind = kind;
    for (int i = 0; i < columns; ++i) values.weight.push_back(random.value());
    for (int i = 0; i < columns; ++i) values.bias.push_back(has_bias ? random.value() : 0);
    const auto upload = [&](const std::vector<double>& numbers) {
      return upload_new(backend, stream, ElementType::f32, 1, columns,
                        std::vector<float>(numbers.begin(), numbers.end()));
    };
    norm.weight = upload(values.weight);
    if (has_bias) norm.bias = upload(values.bias);
  }

  Norm norm;
  reference::NormValues values;
};

/// How far an element of a normalized row may be from the reference, before it is scaled, shifted and rounded to an
/// activation. The mean of n numbers errs by n units of their magnitude, divided by the deviation like everything else;
/// the variance by n + 2 units of itself, half of it after the root. An RMSNorm's mean is 0, and has no error.
inline double unscaled_norm_bound(const reference::Matrix& x, NormKind kind, double epsilon, int row, int column) {
  double mean = 0, variance = 0, most = 0;
  for (int i = 0; i < x.columns && kind == NormKind::layer_norm; ++i) mean += x.at(row, i) / x.columns;
  for (int i = 0; i < x.columns; ++i) variance += std::pow(x.at(row, i) - mean, 2) / x.columns;
  for (int i = 0; i < x.columns && kind == NormKind::layer_norm; ++i) most = std::max(most, std::abs(x.at(row, i)));
  const double deviation = std::sqrt(variance + epsilon);
  const double z = std::abs(x.at(row, column) - mean) / deviation;
  return (x.columns + 2) * kUnit * most / deviation + (x.columns + 8) * kUnit * z;
}

/// Likewise of a norm with its weight and bias.
inline double norm_bound(const reference::Matrix& x, const reference::NormValues& norm, int row, int column) {
  const double unscaled = unscaled_norm_bound(x, norm.kind, norm.epsilon, row, column);
  return unscaled * std::abs(norm.weight[column]) + 4 * kUnit * (1 + std::abs(norm.bias[column]));
}

/// How far attention may be from the reference, of queries, keys and values that are at most so large. A score adds
/// head_dim products in f32, of queries and keys that have an error under QK norm, scaled; softmax turns its absolute
/// error into a relative one of the power, which has a few units of its own; the mix adds as many products as there are
/// positions, and is bounded by the largest value. The power, as the mix's factor, and the mix are rounded to
/// activations.
inline double attention_bound(const Subject& subject, int head_dim, int positions, double query, double key,
                              double value, double norm_error = 0) {
  const double score_error =
      ((head_dim + 2) * kUnit * query * key + norm_error * (query + key + norm_error)) * std::sqrt(head_dim);
  return (2 * score_error + (positions + 16) * kUnit) * value + 2 * subject.roundoff(value) +
         positions * subject.tiny() * value;
}

}  // namespace magnets::test
