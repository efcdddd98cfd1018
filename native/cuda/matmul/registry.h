// Chooses which kernel multiplies: by measurements, else by the formula of choose.h.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "../../ops/tiles.h"
#include "choose.h"

namespace magnets::cuda {

ProductShape shape_of(const MatmulProblem& problem);

/// The problem of such a shape, without memory.
MatmulProblem problem_of(const ProductShape& shape);

Tile tile_of(const MatmulChoice& choice);

/// The formula's choice first, then all others that add up an output's inputs in the same order, so that they give the
/// same bits. A product that is split over several blocks has no others.
std::vector<MatmulChoice> same_bits_as(const MatmulChoice& by_formula);

class Registry {
 public:
  /// Choices of tiles that the formula's kernels do not have are left aside.
  Registry(int capability, int multiprocessors, const std::vector<TileChoice>& choices);

  /// Thread-safe. The same bits as by the formula, whatever the choices. Always the formula's of convolutions and of
  /// products that normalize their rows: these are not measured.
  MatmulChoice choose(const MatmulProblem& problem);
  MatmulChoice by_formula(const MatmulProblem& problem) const;

  /// The shapes of the products for which a kernel was chosen.
  std::vector<ProductShape> met();

 private:
  int capability_, multiprocessors_;
  std::map<ProductShape, Tile> tiles_;
  std::mutex mutex_;
  std::set<ProductShape> met_;
};

}  // namespace magnets::cuda
