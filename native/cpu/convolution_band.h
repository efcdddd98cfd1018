// The part of a picture that one task of a convolution computes, and what it reads: a band of pixels of its own, with
// the norm applied and zeros where the picture ends, small enough for the second cache.
#pragma once

#include "../ops/conv_ops.h"
#include "kernels/kernels.h"

namespace magnets::cpu {

/// How kernels lie on x. An output is a place and, for `up`, which of the place's two lines and columns.
struct KernelShape {
  explicit KernelShape(Resampling resampling)
      : taps(resampling == Resampling::up ? 2 : 3),
        parities(resampling == Resampling::up ? 2 : 1),
        step(resampling == Resampling::down ? 2 : 1),
        before(resampling == Resampling::down ? 0 : 1) {}
  /// Lines, or columns, of x that so many places read.
  int reads(int places) const { return (places - 1) * step + taps + parities - 1; }

  int taps;      // of a side
  int parities;  // of a place along each axis
  int step;      // in x from place to place
  int before;    // what the first place reads begins so far before it
};

/// Places [top, top + height) x [left, left + width) of one sample.
struct Piece {
  int sample, top, left, height, width;
};

/// All places, cut evenly into pieces whose bands have the right size.
class Pieces {
 public:
  Pieces(const KernelShape& shape, const Grid& places, int in);
  int count() const { return places_.samples * lines_ * columns_; }
  Piece operator[](int index) const;
  /// Pixels of the largest band.
  size_t band_pixels() const { return band_pixels_; }

 private:
  Grid places_;
  int lines_, columns_;
  size_t band_pixels_;
};

/// The pixels that a piece reads, [reads(height), reads(width), in].
void fill_band(const Kernels& kernels, const Convolution& op, const KernelShape& shape, const Piece& piece,
               float* band);

}  // namespace magnets::cpu
