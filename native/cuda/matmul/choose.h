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
  int columns;  // of a tile
};
using MatmulChoice = std::variant<MmaChoice, WgmmaChoice>;

/// A function of the problem's shape and the device alone. capability: 80 for 8.0.
MatmulChoice choose_matmul(const MatmulProblem& problem, int capability, int multiprocessors);

/// Tiles of rows x columns outputs, of all products together.
int tiles_of(const MatmulProblem& problem, int rows, int columns);

}  // namespace magnets::cuda
