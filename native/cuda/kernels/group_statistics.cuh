// Group norm's statistics in two kernels: moments of a part of a picture for each group, a few pixels a thread, then
// all parts together. Distances are taken from a first value, and moments merged by their means (Chan et al., 1983), so
// a mean that is large beside the deviation costs no digits.
#pragma once

#include "rows.cuh"

namespace magnets::cuda {

struct Moments {
  float count, mean, squares;  // squares: of distances from the mean
};

__device__ __forceinline__ Moments merged(const Moments& a, const Moments& b) {
  const float count = a.count + b.count;
  if (count == 0.0f) return a;
  const float distance = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + distance * share, a.squares + b.squares + distance * distance * a.count * share};
}

/// Those of all lanes, in every lane.
__device__ __forceinline__ Moments merged_by_warp(Moments own) {
#pragma unroll
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const Moments other = {__shfl_xor_sync(~0u, own.count, lanes), __shfl_xor_sync(~0u, own.mean, lanes),
                           __shfl_xor_sync(~0u, own.squares, lanes)};
    // The same order in both: so both get the same bits.
    own = threadIdx.x & lanes ? merged(other, own) : merged(own, other);
  }
  return own;
}

constexpr int kStatisticsThreads = 256, kPixelsOfThread = 16;
constexpr int kMostStatisticsChannels = 8 * kStatisticsThreads;

/// Threads that share the pixels of a part, each with eight channels.
constexpr int statistics_lanes(int channels) { return kStatisticsThreads / ((channels + 7) / 8); }
constexpr int pixels_of_part(int channels) { return statistics_lanes(channels) * kPixelsOfThread; }

struct StatisticsArguments {
  const void* x;
  int x_stride;
  int pixels, channels, groups;  // of a picture
  int parts;                     // of a picture
  Moments* moments;              // [samples, parts, groups]
};

struct StatisticsShared {
  float mean[kMostStatisticsChannels], squares[kMostStatisticsChannels];  // [lanes, channels, in eights]
};

/// For a grid of (parts, samples) blocks.
template <class T>
__global__ void __launch_bounds__(kStatisticsThreads) moments_kernel(const __grid_constant__ StatisticsArguments s) {
  auto& shared = shared_as<StatisticsShared>();
  wait_for_previous_grid();
  let_next_grid_start();
  const int octets = (s.channels + 7) / 8, lanes = statistics_lanes(s.channels);
  const int octet = threadIdx.x % octets, lane = threadIdx.x / octets;
  const int first_pixel = blockIdx.x * pixels_of_part(s.channels);
  const int left = s.pixels - first_pixel, most = pixels_of_part(s.channels), pixels = left < most ? left : most;
  const auto count_of = [&](int lane) { return (pixels - lane + lanes - 1) / lanes; };

  if (lane < lanes && lane < pixels) {
    const size_t first_row = static_cast<size_t>(blockIdx.y) * s.pixels + first_pixel;
    const T* x = static_cast<const T*>(s.x) + first_row * s.x_stride + octet * 8;
    float from[8], sum[8] = {}, squares[8] = {};
    load8(x + static_cast<size_t>(lane) * s.x_stride, from);
    for (int pixel = lane; pixel < pixels; pixel += lanes) {
      float v[8];
      load8(x + static_cast<size_t>(pixel) * s.x_stride, v);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float distance = v[i] - from[i];
        sum[i] += distance;
        squares[i] = fmaf(distance, distance, squares[i]);
      }
    }
    const float inverse = 1.0f / static_cast<float>(count_of(lane));
    const int at = (lane * octets + octet) * 8;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float mean = sum[i] * inverse;
      shared.mean[at + i] = from[i] + mean;
      shared.squares[at + i] = fmaxf(squares[i] - sum[i] * mean, 0.0f);
    }
  }
  __syncthreads();

  const int of_group = s.channels / s.groups, lanes_used = lanes < pixels ? lanes : pixels;
  for (int group = threadIdx.x / 32; group < s.groups; group += kStatisticsThreads / 32) {
    Moments own{};
    for (int i = threadIdx.x % 32; i < lanes_used * of_group; i += 32) {
      const int at = i / of_group * octets * 8 + group * of_group + i % of_group;
      own = merged(own, {static_cast<float>(count_of(i / of_group)), shared.mean[at], shared.squares[at]});
    }
    own = merged_by_warp(own);
    if (threadIdx.x % 32 == 0) {
      s.moments[(static_cast<size_t>(blockIdx.y) * s.parts + blockIdx.x) * s.groups + group] = own;
    }
  }
}

struct ScaleShiftArguments {
  const Moments* moments;  // [samples, parts, groups]
  int samples, parts, groups, channels;
  const float *weight, *bias;
  float epsilon;
  float* scale_shift;
  int stride;
};

/// A group of a sample a warp.
static __global__ void __launch_bounds__(kRowsOfBlock * 32)
    scale_shift_kernel(const __grid_constant__ ScaleShiftArguments s) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int index = row_of_warp(), lane = threadIdx.x % 32;
  if (index >= s.samples * s.groups) return;
  const int sample = index / s.groups, group = index % s.groups, of_group = s.channels / s.groups;
  const Moments* parts = s.moments + static_cast<size_t>(sample) * s.parts * s.groups + group;
  Moments own{};
  for (int part = lane; part < s.parts; part += 32) own = merged(own, parts[static_cast<size_t>(part) * s.groups]);
  own = merged_by_warp(own);
  const float inverse = rsqrtf(own.squares / own.count + s.epsilon);
  float* scale = s.scale_shift + static_cast<size_t>(sample) * s.stride;
  for (int i = group * of_group + lane; i < (group + 1) * of_group; i += 32) {
    scale[i] = s.weight[i] * inverse;
    scale[s.channels + i] = fmaf(-own.mean * inverse, s.weight[i], s.bias[i]);
  }
}

}  // namespace magnets::cuda
