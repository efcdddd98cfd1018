// A picture is read once: of a few rows at a time, which stay in the first cache, first the sums of each channel, then
// the squares around their mean. Parts are put together in f64 (Chan et al., "Algorithms for computing the sample
// variance", 1983), in their order, so the result does not depend on threads.
#include <algorithm>
#include <cmath>

#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

constexpr int kRowsOfPart = 64;

struct Moments {
  double count = 0, mean = 0, squares = 0;  // squares: of distances from the mean
};

/// Those of all parts, `stride` apart.
Moments together(const Moments* parts, int count, int stride) {
  Moments all;
  for (int i = 0; i < count; ++i) {
    all.count += parts[i * stride].count;
    all.mean += parts[i * stride].count * parts[i * stride].mean;
  }
  all.mean /= all.count;
  for (int i = 0; i < count; ++i) {
    const Moments& part = parts[i * stride];
    all.squares += part.squares + part.count * (part.mean - all.mean) * (part.mean - all.mean);
  }
  return all;
}

}  // namespace

void CpuStream::do_run(const GroupStatistics& op) {
  const int pixels = op.grid.height * op.grid.width, channels = op.channels;
  const int parts = (pixels + kRowsOfPart - 1) / kRowsOfPart, of_group = channels / op.groups;
  Moments* moments = moments_.get<Moments>(static_cast<size_t>(op.grid.samples) * parts * op.groups);
  float* scratch = channel_sums_.get<float>(static_cast<size_t>(pool_->threads()) * 2 * channels);

  pool_->run(op.grid.samples * parts, [&](int task, int thread) {
    const int sample = task / parts, first = task % parts * kRowsOfPart;
    const int rows = std::min(kRowsOfPart, pixels - first);
    float *mean = scratch + static_cast<size_t>(thread) * 2 * channels, *squares = mean + channels;
    std::fill_n(mean, 2 * channels, 0.0f);
    const auto row = [&](int i) { return cpu(op.x).row<float>(sample * pixels + first + i); };
    for (int i = 0; i < rows; ++i) kernels_.add(mean, row(i), channels);
    for (int i = 0; i < channels; ++i) mean[i] /= static_cast<float>(rows);
    for (int i = 0; i < rows; ++i) kernels_.add_squares(squares, row(i), mean, channels);
    for (int group = 0; group < op.groups; ++group) {
      Moments& whole = moments[static_cast<size_t>(task) * op.groups + group];
      whole = {static_cast<double>(rows) * of_group};
      for (int i = group * of_group; i < (group + 1) * of_group; ++i) whole.mean += mean[i];
      whole.mean /= of_group;
      for (int i = group * of_group; i < (group + 1) * of_group; ++i) {
        whole.squares += squares[i] + rows * (mean[i] - whole.mean) * (mean[i] - whole.mean);
      }
    }
  });

  const float *weight = cpu(*op.norm.weight).row<float>(0), *bias = cpu(*op.norm.bias).row<float>(0);
  for (int sample = 0; sample < op.grid.samples; ++sample) {
    float* scale = cpu(op.scale_shift).row<float>(sample);
    for (int group = 0; group < op.groups; ++group) {
      const Moments all = together(moments + static_cast<size_t>(sample) * parts * op.groups + group, parts, op.groups);
      const double inverse = 1 / std::sqrt(all.squares / all.count + op.norm.epsilon);
      for (int i = group * of_group; i < (group + 1) * of_group; ++i) {
        scale[i] = static_cast<float>(weight[i] * inverse);
        scale[channels + i] = static_cast<float>(bias[i] - all.mean * weight[i] * inverse);
      }
    }
  }
}

}  // namespace magnets::cpu
