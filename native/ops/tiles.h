// The tiles in which a device multiplies matrices, where these can be chosen: measurements that somebody asked for,
// and the choices that follow from them.
#pragma once

#include <compare>
#include <vector>

namespace magnets {

/// What happens to the sums of a product, as far as its time depends on that.
enum class ProductEnd { stores, adds, activates, f32 };

/// A matrix product, as far as the choice of its tiles depends on it.
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
