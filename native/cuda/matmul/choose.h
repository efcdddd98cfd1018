// Which kernel multiplies.
#pragma once

#include <variant>

#include "mma.h"
#include "wgmma.h"

namespace magnets::cuda {

struct MmaChoice {
  MmaTile tile;
  int splits;
};
struct WgmmaChoice {
  int shape;        // of kWgmmaShapes
  bool normalizes;  // the problem's norm is the kernel's affair
};
using MatmulChoice = std::variant<MmaChoice, WgmmaChoice>;

/// A function of the problem's shape and the device alone. capability: 80 for 8.0.
MatmulChoice choose_matmul(const MatmulProblem& problem, int capability, int multiprocessors);

/// About how long the problem takes by wgmma in tiles of the shape, in microseconds.
double wgmma_time(const WgmmaShape& shape, const MatmulProblem& problem, int multiprocessors);

/// Tiles of rows x columns outputs, of all products together.
int tiles_of(const MatmulProblem& problem, int rows, int columns);

}  // namespace magnets::cuda
