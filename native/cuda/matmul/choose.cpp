#include "choose.h"

#include <algorithm>

namespace magnets::cuda {

namespace {

constexpr int divide_up(int value, int by) { return (value + by - 1) / by; }

// About how long a product takes by wgmma, in microseconds: fitted to the products of size L (bench/operations.cpp) on
// an H100 of 132 multiprocessors. Tiles of one turn come in through what the multiprocessors share of the L2 cache, but
// none multiplies faster than its tensor cores. On another card of compute capability 9.0 the numbers differ, their
// order hardly.
constexpr double kMostIntake = 100;         // KB a microsecond that one multiprocessor takes in
constexpr double kSharedIntake = 63;        // and that each gets where all of them load at once
constexpr double kStepOf256Columns = 0.56;  // tensor cores: 128 x 256 outputs, 64 inputs
constexpr double kLaunch = 1;
constexpr double kTileEnd = 0.3, kTileEndOfColumn = 0.014;  // the epilogue, which nothing overlaps

double wgmma_time(const MatmulProblem& m, int columns, int multiprocessors) {
  const int tiles = tiles_of(m, kWgmmaRows, columns), busy = std::min(tiles, multiprocessors);
  const double kilobytes = (kWgmmaRows + columns) * kWgmmaStep * 2 / 1024.0;
  const double intake = std::min(kMostIntake, kSharedIntake * multiprocessors / busy);
  const double step = std::max(kilobytes / intake, kStepOf256Columns * columns / 256);
  const double end = kTileEnd + kTileEndOfColumn * columns;
  return divide_up(tiles, multiprocessors) * (m.taps * tap_steps(m) * step + end) + kLaunch;
}

int wgmma_columns(const MatmulProblem& m, int multiprocessors) {
  int best = 64;
  for (const int columns : {128, 256}) {
    if (wgmma_time(m, columns, multiprocessors) < wgmma_time(m, best, multiprocessors)) best = columns;
  }
  return best;
}

/// The largest tile that still gives every multiprocessor one.
MmaTile mma_tile(const MatmulProblem& m, int multiprocessors) {
  for (const MmaTile tile : {MmaTile::large, MmaTile::medium}) {
    const TileSize size = size_of(tile);
    if (m.rows > size.rows / 2 && tiles_of(m, size.rows, size.columns) >= multiprocessors) return tile;
  }
  return MmaTile::small;
}

/// Few tiles leave multiprocessors idle: their inputs are split until there are enough blocks, but no part gets less
/// than two steps.
int mma_splits(const MatmulProblem& m, int multiprocessors) {
  const TileSize size = size_of(MmaTile::small);
  const int most = m.taps * m.in / (2 * kMatmulStep);
  const int wanted = divide_up(multiprocessors, tiles_of(m, size.rows, size.columns));
  return most < 2 ? 1 : std::min(wanted, most);
}

}  // namespace

int tiles_of(const MatmulProblem& m, int rows, int columns) {
  return divide_up(m.rows, rows) * divide_up(m.out, columns) * m.products;
}

MatmulChoice choose_matmul(const MatmulProblem& m, int capability, int multiprocessors) {
  // Of wgmma's rows a product of few would leave most empty.
  if (capability == 90 && m.rows > kWgmmaRows / 2) return WgmmaChoice{wgmma_columns(m, multiprocessors)};
  const MmaTile tile = mma_tile(m, multiprocessors);
  return MmaChoice{tile, tile == MmaTile::small ? mma_splits(m, multiprocessors) : 1};
}

}  // namespace magnets::cuda
