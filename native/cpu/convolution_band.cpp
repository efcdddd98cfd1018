#include "convolution_band.h"

#include <algorithm>

#include "buffer.h"
#include "parts.h"

namespace magnets::cpu {

namespace {

constexpr int64_t kBandFloats = 112 << 10;
constexpr int kMostColumns = 48;  // of a piece: some tiles, and little more are the pixels around them

}  // namespace

Pieces::Pieces(const KernelShape& shape, const Grid& places, int in, int tile_rows)
    : places_(places), tile_rows_(tile_rows), columns_(parts_of(places.width, kMostColumns)) {
  int widest = 0;
  for (int i = 0; i < columns_; ++i) widest = std::max(widest, first_column(i + 1) - first_column(i));
  const int width = shape.reads(widest);
  int height = places.height;
  while (height > 1 && int64_t{shape.reads(height)} * width * in > kBandFloats) --height;
  lines_ = parts_of(places.height, height);
  band_pixels_ = static_cast<size_t>(shape.reads(parts_of(places.height, lines_))) * width;
}

int Pieces::first_column(int part) const {
  return std::min(places_.width, begin_of(parts_of(places_.width, tile_rows_), part, columns_) * tile_rows_);
}

Piece Pieces::operator[](int index) const {
  const int line = index / columns_ % lines_, column = index % columns_;
  const int top = begin_of(places_.height, line, lines_), left = first_column(column);
  return {.sample = index / columns_ / lines_,
          .top = top,
          .left = left,
          .height = begin_of(places_.height, line + 1, lines_) - top,
          .width = first_column(column + 1) - left};
}

void fill_band(const Kernels& kernels, const Convolution& op, const KernelShape& shape, const Piece& piece,
               float* band) {
  const CpuBuffer& x = cpu(op.x);
  const float* scale = op.scale_shift != nullptr ? cpu(*op.scale_shift).row<float>(piece.sample) : nullptr;
  const int top = piece.top * shape.step - shape.before, left = piece.left * shape.step - shape.before;
  for (int line = top; line < top + shape.reads(piece.height); ++line) {
    for (int column = left; column < left + shape.reads(piece.width); ++column, band += op.in) {
      if (line < 0 || line >= op.grid.height || column < 0 || column >= op.grid.width) {
        std::fill_n(band, op.in, 0.0f);
        continue;
      }
      const float* pixel = x.row<float>((piece.sample * op.grid.height + line) * op.grid.width + column);
      if (scale != nullptr) {
        kernels.rescale(pixel, scale, scale + op.in, op.in, true, band);
      } else {
        std::copy_n(pixel, op.in, band);
      }
    }
  }
}

}  // namespace magnets::cpu
