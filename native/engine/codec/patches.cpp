#include "patches.h"

#include <algorithm>
#include <cstddef>

namespace magnets {

namespace {

/// Calls visit(offset of the first pixel, length) for every contiguous run of pixels, in patch order.
template <class Visit>
void for_each_run(const VitConfig& config, Visit visit) {
  const auto [grid_t, grid_h, grid_w] = config.grid();
  const auto [patch_t, patch_h, patch_w] = config.patch;
  const size_t run = static_cast<size_t>(patch_w) * config.channels;
  for (int t = 0; t < grid_t; ++t)
    for (int h = 0; h < grid_h; ++h)
      for (int w = 0; w < grid_w; ++w)
        for (int frame = t * patch_t; frame < (t + 1) * patch_t; ++frame)
          for (int row = h * patch_h; row < (h + 1) * patch_h; ++row) {
            const size_t line = static_cast<size_t>(frame) * config.sample.height + row;
            visit((line * config.sample.width + static_cast<size_t>(w) * patch_w) * config.channels, run);
          }
}

}  // namespace

std::vector<float> to_patches(const VitConfig& config, const float* pixels, int count) {
  std::vector<float> patches(count * config.sample_size());
  float* out = patches.data();
  for (int i = 0; i < count; ++i, pixels += config.sample_size()) {
    for_each_run(config, [&](size_t offset, size_t run) { out = std::copy_n(pixels + offset, run, out); });
  }
  return patches;
}

void from_patches(const VitConfig& config, const std::vector<float>& patches, int count, float* pixels) {
  const float* in = patches.data();
  for (int i = 0; i < count; ++i, pixels += config.sample_size()) {
    for_each_run(config, [&](size_t offset, size_t run) {
      std::copy_n(in, run, pixels + offset);
      in += run;
    });
  }
}

}  // namespace magnets
