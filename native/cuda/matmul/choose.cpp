#include "choose.h"

#include <algorithm>
#include <iterator>

#include "../rounding.h"

namespace magnets::cuda {

namespace {

/// With more rows wgmma's tiles are faster than mma.sync's, also than those whose inputs are split.
constexpr int kMostMmaRows = 64;

// Of an H100 of 132 multiprocessors at 1.98 GHz. The first four are fitted to the products of size L there
// (bench/results/cuda-operations-L.json: 79 products, of which the formula is 7.5 % off); those of a tile's end are
// estimates. On another card of compute capability 9.0 the numbers differ, their order hardly.
constexpr double kClocks = 1980;       // a microsecond
constexpr double kLaunch = 2.0;        // to start, to fill the ring and to drain
constexpr double kPort = 58;           // bytes a clock that one multiprocessor takes in
constexpr double kAllPorts = 9.5e6;    // bytes a microsecond that all together take out of the L2 cache
constexpr double kTensorCores = 4096;  // FLOPs a clock of a multiprocessor
constexpr double kEnd = 0.4, kEndOfTile = 0.9, kGelu = 0.6, kF32 = 0.9;  // the last three for 128 x 256 outputs
constexpr double kMeeting = 0.5, kNorm = 1.4;  // of a norm: the cluster's barrier; the rest for 128 x 256 outputs
constexpr double kOverlap = 0.3;               // of a tile's end with the steps of the next

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

bool normalizes(const WgmmaShape& shape, const MatmulProblem& m) {
  return blocks_of_row(shape, m) <= kMostClusterBlocks;
}

/// Whether a norm is the kernel's affair must not depend on the number of rows: another order of sums gives a row other
/// bits. So it is wherever some shape can.
WgmmaChoice best_shape(MatmulProblem m, int multiprocessors) {
  const bool norm = m.norm.weight != nullptr && std::any_of(std::begin(kWgmmaShapes), std::end(kWgmmaShapes),
                                                            [&](const auto& shape) { return normalizes(shape, m); });
  if (!norm) m.norm = {};
  int best = -1;
  double least = 0;
  for (int i = 0; i < kWgmmaShapeCount; ++i) {
    if (norm && !normalizes(kWgmmaShapes[i], m)) continue;
    const double time = wgmma_time(kWgmmaShapes[i], m, multiprocessors);
    if (best < 0 || time < least) best = i, least = time;
  }
  return {best, norm};
}

}  // namespace

int tiles_of(const MatmulProblem& m, int rows, int columns) {
  return divide_up(m.rows, rows) * divide_up(m.out, columns) * m.products;
}

double wgmma_time(const WgmmaShape& shape, const MatmulProblem& m, int multiprocessors) {
  const bool norm = m.norm.weight != nullptr;
  // Clusters do not find room everywhere: those of 8 on 120 of 132 multiprocessors.
  const int cluster = norm ? blocks_of_row(shape, m) : 1;
  const int at_once = (cluster > 4 ? multiprocessors * 10 / 11 : multiprocessors) / cluster * cluster;
  const int tiles = tiles_of(m, shape.rows(), shape.columns()), busy = std::min(tiles, at_once);
  const double outputs = shape.rows() * shape.columns(), bytes = shape.stage_bytes();
  const double step =
      std::max({outputs * kMatmulStep * 2 / kTensorCores / kClocks, bytes / kPort / kClocks, bytes * busy / kAllPorts});
  const bool gelu = m.epilogue == Epilogue::gelu || m.epilogue == Epilogue::gelu_tanh || m.epilogue == Epilogue::silu;
  const double end =
      kEnd + outputs / (128 * 256) * (kEndOfTile + (gelu ? kGelu : 0) + (m.f32_out ? kF32 : 0) + (norm ? kNorm : 0)) +
      (norm ? kMeeting : 0);
  const int turns = divide_up(tiles, std::max(at_once, cluster));
  return kLaunch + turns * m.taps * tap_steps(m) * step + end * (1 + (turns - 1) * (1 - kOverlap));
}

MatmulChoice choose_matmul(const MatmulProblem& m, int capability, int multiprocessors) {
  // A product of few rows is bound by its weights: splitting its inputs over more blocks brings them in sooner.
  if (capability == 90 && m.rows > kMostMmaRows) return best_shape(m, multiprocessors);
  const MmaTile tile = mma_tile(m, multiprocessors);
  return MmaChoice{tile, tile == MmaTile::small ? mma_splits(m, multiprocessors) : 1};
}

}  // namespace magnets::cuda
