// The part of a picture that one task of a convolution computes, and what it reads: a band of pixels of its own, with
// the norm applied and zeros where the picture ends, small enough for the second cache.
#pragma once

#include "../ops/conv_ops.h"
#include "kernels/kernels.h"

namespace magnets::cpu {

/// Places [top, top + height) x [left, left + width) of one sample.
struct Piece {
  int sample, top, left, height, width;
};

/// All places, cut evenly into pieces whose bands have the right size; between columns that begin a tile of so many
/// rows, for whole tiles are the fastest.
class Pieces {
 public:
  Pieces(const KernelShape& shape, const Grid& places, int in, int tile_rows);
  int count() const { return places_.samples * lines_ * columns_; }
  Piece operator[](int index) const;
  /// Pixels of the largest band.
  size_t band_pixels() const { return band_pixels_; }

 private:
  int first_column(int part) const;

  Grid places_;
  int tile_rows_, lines_, columns_;
  size_t band_pixels_;
};

/// The pixels that a piece reads, [reads(height), reads(width), in].
void fill_band(const Kernels& kernels, const Convolution& op, const KernelShape& shape, const Piece& piece,
               float* band);

}  // namespace magnets::cpu
