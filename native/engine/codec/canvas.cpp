#include "canvas.h"

#include <algorithm>
#include <utility>

namespace magnets {

namespace {

/// Values of the largest pictures of one pass in the host's memory: one of 512 x 512 with 128 channels, four of
/// 256 x 256. A device with memory of its own takes twice as many, for its multiprocessors share the coarse levels.
constexpr int64_t kValuesAtOnce = int64_t{1} << 25;

}  // namespace

int Canvas::samples_at_once(const Backend& backend, const Levels& levels, int count) {
  const int64_t values = backend.own_memory() > 0 ? 2 * kValuesAtOnce : kValuesAtOnce;
  int64_t most = 1;
  for (int i = 0; i <= levels.coarsest(); ++i) {
    // A level begins, or ends, with the channels of the one beside it.
    const int channels = std::max(levels.channels_of(i), levels.channels_of(std::min(i + 1, levels.coarsest())));
    most = std::max(most, int64_t{levels.grid(1, i).rows()} * channels);
  }
  return static_cast<int>(std::clamp<int64_t>(values / most, 1, count));
}

Canvas::Canvas(Backend& backend, const Levels& levels, int samples, PictureMemory& memory, const StopFlag* stop)
    : backend_(backend), levels_(levels), memory_(memory) {
  const int most = levels.base_channels * *std::max_element(levels.multipliers.begin(), levels.multipliers.end());
  scale_shift_ = backend.allocate(ElementType::f32, samples, 2 * most);
  stream_ = backend.stream(stop);
}

Canvas::~Canvas() {
  stream_.reset();  // then nobody writes there any more
  for (PictureBuffer* pictures : {&x_, &next_, &second_}) memory_.give(std::move(*pictures));
}

PictureBuffer Canvas::pictures(const Grid& grid, int channels) {
  return memory_.take(backend_, *stream_, grid.rows(), channels);
}

void Canvas::replace(const Grid& grid, int channels) {
  if (!(grid == grid_)) {
    let_go_of_second();
    if (attention_ != nullptr) stream_->synchronize();  // until then it may be in use
    attention_.reset();
  }
  memory_.give(std::exchange(x_, std::exchange(next_, {})));
  grid_ = grid;
  channels_ = channels;
}

Buffer& Canvas::reset(const Grid& grid, int channels) {
  replace(grid, channels);
  x_ = pictures(grid, channels);
  return *x_.rows;
}

Buffer& Canvas::second(int channels) {
  if (second_channels_ != channels) {
    let_go_of_second();
    second_ = pictures(grid_, channels);
    second_channels_ = channels;
  }
  return *second_.rows;
}

void Canvas::let_go_of_second() {
  memory_.give(std::exchange(second_, {}));
  second_channels_ = 0;
}

void Canvas::statistics(const Norm& norm, const Buffer& x, int channels) {
  stream_->run(GroupStatistics{.x = x,
                               .grid = grid_,
                               .channels = channels,
                               .groups = levels_.norm_groups,
                               .norm = norm,
                               .scale_shift = *scale_shift_});
}

void Canvas::convolve(const ConvLayer& layer, const Buffer& x, bool under_norm, bool add, Buffer& y) {
  stream_->run(Convolution{.layer = *layer.layer,
                           .out = layer.out,
                           .in = layer.in,
                           .x = x,
                           .grid = grid_,
                           .scale_shift = under_norm ? scale_shift_.get() : nullptr,
                           .resampling = layer.resampling,
                           .add = add,
                           .y = y});
}

/// Attention comes after every block, but for the last where it runs out: the middle is block, attention, block.
void Canvas::run(const Stage& stage) {
  for (size_t i = 0; i < stage.blocks.size(); ++i) {
    run(stage.blocks[i]);
    if (i < stage.attentions.size()) run(stage.attentions[i]);
  }
}

void Canvas::run(const ResidualBlock& block) {
  const int out = block.conv1.out;
  Buffer& half_made = second(out);
  statistics(block.norm1, *x_.rows, channels_);
  convolve(block.conv1, *x_.rows, true, false, half_made);
  statistics(block.norm2, half_made, out);
  if (out == channels_) return convolve(block.conv2, half_made, true, true, *x_.rows);

  next_ = pictures(grid_, out);
  const bool projects = block.shortcut != nullptr;
  if (projects) {
    stream_->run(Matmul{.layer = *block.shortcut,
                        .out = out,
                        .in = channels_,
                        .x = {*x_.rows},
                        .rows = grid_.rows(),
                        .y = *next_.rows});
  }
  convolve(block.conv2, half_made, true, projects, *next_.rows);
  replace(grid_, out);
}

void Canvas::run(const AttentionBlock& block) {
  const int positions = grid_.height * grid_.width;
  if (attention_ == nullptr) {
    attention_.reset(new AttentionMemory{
        AllRows(backend_, grid_.samples, positions), backend_.kv_cache(1, grid_.samples, 1, channels_, positions),
        backend_.allocate_heads(grid_.rows(), 1, channels_), backend_.allocate_heads(grid_.rows(), 1, channels_)});
  }
  Buffer& normalized = second(channels_);
  const Rows rows = attention_->rows.rows(grid_.samples);
  statistics(block.norm, *x_.rows, channels_);
  stream_->run(Rescale{.x = *x_.rows,
                       .scale_shift = *scale_shift_,
                       .grid = grid_,
                       .channels = channels_,
                       .silu = false,
                       .y = normalized});
  stream_->run(ProjectQkv{.query = *block.query,
                          .key = *block.key,
                          .value = *block.value,
                          .heads = 1,
                          .head_dim = channels_,
                          .in = channels_,
                          .x = {normalized},
                          .rows = rows,
                          .layer = 0,
                          .cache = *attention_->cache,
                          .q = *attention_->q});
  stream_->run(Attention{.q = *attention_->q,
                         .rows = rows,
                         .layer = 0,
                         .cache = *attention_->cache,
                         .heads = 1,
                         .head_dim = channels_,
                         .out = *attention_->mixed});
  const Input residual{*x_.rows};
  stream_->run(Matmul{.layer = *block.output,
                      .out = channels_,
                      .in = channels_,
                      .x = {*attention_->mixed},
                      .rows = rows.count,
                      .residual = &residual,
                      .y = *x_.rows});
}

void Canvas::run(const ConvLayer& layer) {
  const Grid grid = resampled(grid_, layer.resampling);
  let_go_of_second();
  next_ = pictures(grid, layer.out);
  convolve(layer, *x_.rows, false, false, *next_.rows);
  replace(grid, layer.out);
}

void Canvas::pool() {
  const Grid grid = resampled(grid_, Resampling::down);
  let_go_of_second();
  next_ = pictures(grid, channels_);
  stream_->run(MeanPool{.x = *x_.rows, .grid = grid_, .channels = channels_, .y = *next_.rows});
  replace(grid, channels_);
}

void Canvas::finish(const Norm& norm, const ConvLayer& layer, Buffer& y) {
  statistics(norm, *x_.rows, channels_);
  convolve(layer, *x_.rows, true, false, y);
}

const Buffer& Canvas::activate(const Norm& norm) {
  Buffer& y = second(channels_);
  statistics(norm, *x_.rows, channels_);
  stream_->run(
      Rescale{.x = *x_.rows, .scale_shift = *scale_shift_, .grid = grid_, .channels = channels_, .silu = true, .y = y});
  return y;
}

}  // namespace magnets
