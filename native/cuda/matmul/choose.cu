// Linear layers, and the projection of queries, keys and values: which kernel for which shape.
#include <algorithm>

#include "cuda_stream.h"
#include "matmul.h"
#include "matmul_mma.h"
#include "matmul_wgmma.h"

namespace magnets::cuda {

namespace {

int tiles_of(const Matmul& m, int rows, int columns) {
  return divide_up(m.rows, rows) * divide_up(m.out, columns) * m.products;
}

/// About how long a product takes by wgmma in tiles of so many columns, in microseconds of an H100: tiles of one turn
/// come in through what the multiprocessors share of the L2 cache, but none multiplies faster than its tensor cores.
double wgmma_time(const Matmul& m, int columns, int multiprocessors) {
  const int tiles = tiles_of(m, kWgmmaRows, columns), busy = std::min(tiles, multiprocessors);
  const double kilobytes = (kWgmmaRows + columns) * 64 * 2 / 1024.0;
  const double rate = std::min(100.0, 63.0 * multiprocessors / busy);  // KB a microsecond, of one
  const double step = std::max(kilobytes / rate, 0.56 * columns / 256);
  const double begin = 1, end = 0.3 + 0.014 * columns;
  return divide_up(tiles, multiprocessors) * (divide_up(m.in, 64) * step + end) + begin;
}

int wgmma_columns(const Matmul& m, int multiprocessors) {
  int best = 64;
  for (const int columns : {128, 256}) {
    if (wgmma_time(m, columns, multiprocessors) < wgmma_time(m, best, multiprocessors)) best = columns;
  }
  return best;
}

/// The largest tile that still gives every multiprocessor one.
MmaTile tile_for(const Matmul& m, int multiprocessors) {
  for (const MmaTile tile : {MmaTile::large, MmaTile::medium}) {
    const TileSize size = size_of(tile);
    if (m.rows > size.rows / 2 && tiles_of(m, size.rows, size.columns) >= multiprocessors) return tile;
  }
  return MmaTile::small;
}

/// Few tiles leave multiprocessors idle: their inputs are split until there are enough blocks, but no part gets less
/// than two steps.
int splits_for(const Matmul& m, int tiles, int multiprocessors) {
  const int most = m.in / 128;
  const int wanted = divide_up(multiprocessors, tiles);
  return most < 2 ? 1 : wanted < most ? wanted : most;
}

}  // namespace

void CudaStream::multiply(Matmul& m, const CudaLinear& weight) {
  if (m.rows == 0) return;
  m.splits = 1;
  m.partial_sums = static_cast<float*>(partial_sums_.get());
  m.tickets = static_cast<unsigned*>(tickets_.get());
  const int multiprocessors = device_->multiprocessors();

  // Of wgmma's rows a product of few would leave most empty.
  if (device_->capability() == 90 && m.rows > kWgmmaRows / 2) {
    const WgmmaKernel kernel = wgmma_kernel(wgmma_columns(m, multiprocessors), dtype_);
    const int tiles = tiles_of(m, kWgmmaRows, kernel.columns);
    launch(kernel.function, grid_of(std::min(tiles, multiprocessors)), kernel.threads, kernel.shared,
           wgmma_maps(kernel, m, weight.out(), weight.in(), dtype_), m);
    return;
  }

  const MmaTile tile = tile_for(m, multiprocessors);
  const TileSize size = size_of(tile);
  if (tile == MmaTile::small) m.splits = splits_for(m, tiles_of(m, size.rows, size.columns), multiprocessors);
  const MmaKernel kernel = mma_kernel(tile, dtype_);
  const dim3 grid = grid_of(divide_up(m.out, size.columns), divide_up(m.rows, size.rows), m.products * m.splits);
  launch(kernel.function, grid, kernel.threads, kernel.shared, m);
}

void CudaStream::linear(const Linear& layer, int out, int in, const Buffer& x, int rows, Epilogue epilogue, Part part,
                        Buffer& y) {
  const CudaLinear& weight = cuda(layer);
  Matmul m{};
  m.x = cuda(x).as<void>();
  m.x_stride = cuda(x).stride();
  m.rows = rows;
  m.out = out;
  m.in = in;
  m.products = 1;
  m.product[0] = {weight.weight(), weight.bias(), cuda(y).as<void>()};
  m.weight_stride = weight.stride();
  m.y_stride = cuda(y).stride();
  m.epilogue = epilogue;
  m.f32_out = cuda(y).type() == ElementType::f32;
  multiply(m, weight);
  flops.add(part, uint64_t{2} * rows * out * in);
}

void CudaStream::project_qkv(const Linear& query, const Linear& key, const Linear& value, int heads, int head_dim,
                             int in, const Buffer& x, const Rows& rows, int layer, Part part, KvCache& cache,
                             Buffer& q) {
  const int count = rows.count(), inner = heads * head_dim;
  const CudaKvCache& store = cuda(cache);
  Matmul m{};
  m.x = cuda(x).as<void>();
  m.x_stride = cuda(x).stride();
  m.rows = count;
  m.out = inner;
  m.in = in;
  m.products = 3;
  m.product[0] = {cuda(query).weight(), cuda(query).bias(), cuda(q).as<void>()};
  m.product[1] = {cuda(key).weight(), cuda(key).bias(), store.keys(layer)};
  m.product[2] = {cuda(value).weight(), cuda(value).bias(), store.values(layer)};
  m.weight_stride = cuda(query).stride();
  m.y_stride = cuda(q).stride();
  m.cache = {cuda(rows.index).as<int>(), rows.positions, store.heads(), head_dim};
  m.epilogue = Epilogue::store;
  multiply(m, cuda(query));
  flops.add(part, uint64_t{3} * 2 * count * inner * in);
}

}  // namespace magnets::cuda
