// The operations of a convolutional codec, apart from the mathematics of a transformer (ops.h). A picture is rows of a
// buffer, a row a pixel; no row stands for a border.
#pragma once

#include "types.h"

namespace magnets {

/// Pictures in the rows of a buffer: (sample * height + line) * width + column.
struct Grid {
  int samples, height, width;
  int rows() const { return samples * height * width; }
  bool operator==(const Grid&) const = default;
};

/// Group norm as a line for every channel: y = scale * x + shift is (x - mean) / sqrt(variance + epsilon) * weight +
/// bias, with mean and variance of the sample's pixels and the channel's group. Groups are channels / groups
/// neighbours.
struct GroupStatistics {
  const Buffer& x;
  Grid grid;
  int channels, groups;
  const Norm& norm;
  Buffer& scale_shift;  // f32 [samples, >= 2 * channels]: every channel's scale, then every channel's shift
};

/// y = scale * x + shift, with `swish` v / (1 + e^-v) of that.
struct Rescale {
  const Buffer& x;
  const Buffer& scale_shift;  // of GroupStatistics
  Grid grid;
  int channels;
  bool swish;
  Buffer& y;  // may be x
};

enum class Resampling {
  none,
  up,    // every pixel becomes 2 x 2, then the convolution
  down,  // every second line and column of the convolution: the first output reads the pixels 0, 1 and 2
};

/// y = 3x3 convolution of x + bias, zeros around the picture. With `scale_shift` it reads Rescale of x with swish,
/// whose border is zeros too.
///
/// The layer is [out, 3, 3, in], taps by line and column. For `up` it is [out, 2, 2, 2, 2, in]: output (2 i + p, 2 j +
/// q) is the 2x2 convolution, with kernel (p, q), of the pixels from (i + p - 1, j + q - 1) on, because two of three
/// neighbours in the larger picture are the same pixel.
struct Convolution {
  const Linear& layer;
  int out, in;  // the layer's own
  const Buffer& x;
  Grid grid;  // of x; even for `down`
  const Buffer* scale_shift = nullptr;
  Resampling resampling = Resampling::none;
  bool add = false;  // y + that
  Buffer& y;         // activations, or f32; not x
};

/// y = the mean of 2 x 2 pixels.
struct MeanPool {
  const Buffer& x;
  Grid grid;  // of x; even
  int channels;
  Buffer& y;
};

/// The grid of the output.
inline Grid resampled(const Grid& grid, Resampling resampling) {
  switch (resampling) {
    case Resampling::up:
      return {grid.samples, 2 * grid.height, 2 * grid.width};
    case Resampling::down:
      return {grid.samples, grid.height / 2, grid.width / 2};
    default:
      return grid;
  }
}

/// Which pixels of x kernels read. A place has one output or, for `up`, 2 x 2 outputs, each with a kernel of its own.
struct KernelShape {
  explicit KernelShape(Resampling resampling)
      : taps(resampling == Resampling::up ? 2 : 3),
        parities(resampling == Resampling::up ? 2 : 1),
        step(resampling == Resampling::down ? 2 : 1),
        before(resampling == Resampling::down ? 0 : 1) {}
  /// Those of a whole grid.
  Grid places(const Grid& grid) const { return {grid.samples, grid.height / step, grid.width / step}; }
  /// Lines, or columns, of x that so many places read.
  int reads(int places) const { return (places - 1) * step + taps + parities - 1; }

  int taps;      // of a side
  int parities;  // outputs of a place along each axis: a kernel's taps begin so many pixels further on
  int step;      // pixels of x from place to place
  int before;    // pixels before the picture that the first place reads
};

/// Taps of a layer: of one output, and of all its kernels.
inline int taps_of(Resampling resampling) { return resampling == Resampling::up ? 4 : 9; }
inline int layer_taps_of(Resampling resampling) { return resampling == Resampling::up ? 16 : 9; }

inline uint64_t flops_of(const Convolution& op) {
  return uint64_t{2} * resampled(op.grid, op.resampling).rows() * taps_of(op.resampling) * op.out * op.in;
}

}  // namespace magnets
