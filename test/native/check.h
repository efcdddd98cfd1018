// A test program counts what it checked, names what failed and says so with its exit code.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../native/backend.h"
#include "../../native/cpu/reference.h"
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

/// A buffer with `matrix` in its first rows and columns, guard values in two more rows and some more columns.
struct Guarded {
  static constexpr int kMoreRows = 2, kMoreColumns = 37;

  Guarded(Backend& backend, Stream& stream, const reference::Matrix& matrix, ElementType type = ElementType::activation)
      : rows(matrix.rows + kMoreRows),
        columns(matrix.columns + kMoreColumns),
        buffer(backend.allocate(type, rows, columns)) {
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

/// Every position of `rows` per branch listed in `positions`, as a Rows needs it.
struct RowList {
  RowList(Backend& backend, Stream& stream, const std::vector<std::vector<int>>& positions_of_branch, int positions)
      : positions(positions) {
    std::vector<int32_t> values;
    start.push_back(0);
    for (size_t branch = 0; branch < positions_of_branch.size(); ++branch) {
      for (const int position : positions_of_branch[branch]) {
        values.push_back(static_cast<int32_t>(branch) * positions + position);
      }
      start.push_back(static_cast<int>(values.size()));
    }
    index = place(backend, stream, ElementType::i32, 1, static_cast<int>(values.size()), values);
  }
  Rows rows() const { return {*index, start, positions}; }
  std::unique_ptr<Buffer> index;
  std::vector<int> start;
  int positions;
};

}  // namespace magnets::test
