// In which tiles a device multiplies matrices, where that can be chosen: what is measured when somebody asks for it,
// and what is chosen by such measurements later.
#pragma once

#include <compare>
#include <vector>

namespace magnets {

/// What becomes of the sums of a product, as far as its time depends on it.
enum class ProductEnd { stores, adds, activates, f32 };

/// A matrix product to who chooses its tiles.
struct ProductShape {
  int rows;  // rounded up to a multiple of kRowsOfShape, for so many rows more or less take the same time
  int out, in;
  int products;  // 3: query, key and value of the same rows
  ProductEnd end;
  auto operator<=>(const ProductShape&) const = default;
};
constexpr int kRowsOfShape = 8;

/// Outputs that a block computes at once.
struct Tile {
  int rows, columns;
  auto operator<=>(const Tile&) const = default;
};

struct TileChoice {
  ProductShape product;
  Tile tile;
};

struct TileTiming {
  ProductShape product;
  Tile tile;
  bool by_formula;              // what is taken where nothing was measured
  std::vector<double> seconds;  // of one product, in the order of the runs
};

}  // namespace magnets
