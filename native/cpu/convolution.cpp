// A task is a piece of a picture times some panels. In its band the taps of one line of a kernel are inputs that follow
// each other, so a convolution is the product of multiply.cpp: a tile's rows are pixels of one line, its inputs a line
// of the kernel.
#include <algorithm>

#include "convolution_band.h"
#include "convolution_narrow.h"
#include "cpu_stream.h"
#include "parts.h"

namespace magnets::cpu {

namespace {

constexpr int kMostInputs = 768;  // of a block: a kernel's line of 256 channels

class PieceProduct {
 public:
  PieceProduct(const Kernels& kernels, const Convolution& op, const KernelShape& shape, const Piece& piece,
               const float* band)
      : kernels_(kernels),
        op_(op),
        shape_(shape),
        piece_(piece),
        band_(band),
        target_(resampled(op.grid, op.resampling)),
        line_inputs_(shape.taps * op.in) {}

  /// A panel after the other: its sums stay in the second cache until all lines of its kernels have been added.
  void run(int first_panel, int last_panel) const {
    const int blocks = parts_of(line_inputs_, std::min(kMostInputs, kernels_.input_block));
    const int lines = shape_.parities * shape_.parities * shape_.taps;
    for (int panel = first_panel; panel < last_panel; ++panel) {
      const int next_panel = panel + 1 < last_panel ? panel + 1 : first_panel;  // that of the next piece
      for (int line = 0; line < lines; ++line) {
        for (int block = 0; block < blocks; ++block) {
          const int first = begin_of(line_inputs_, block, blocks), last = begin_of(line_inputs_, block + 1, blocks);
          const int next = line * line_inputs_ + last;
          const bool is_last = next == lines * line_inputs_;
          multiply(line, first, last, panel, {is_last ? next_panel : panel, is_last ? 0 : next});
        }
      }
    }
  }

 private:
  struct Weights {
    int panel, first;
  };

  /// The inputs [first, last) of one line of a kernel, for one panel and all places. Meanwhile as many weights as it
  /// takes are fetched of those that come next.
  void multiply(int line_of_kernels, int first, int last, int panel, const Weights& next) const {
    const int parity = line_of_kernels / shape_.taps, tap_line = line_of_kernels % shape_.taps;
    const int parity_line = parity / shape_.parities, parity_column = parity % shape_.parities;
    const int first_in = line_of_kernels * line_inputs_ + first;
    const bool begins = tap_line == 0 && first == 0;
    const bool ends = tap_line == shape_.taps - 1 && last == line_inputs_;
    const int outputs = std::min(kPanel, op_.out - panel * kPanel);
    const size_t step = static_cast<size_t>(shape_.step) * op_.in;
    const size_t band_line = static_cast<size_t>(shape_.reads(piece_.width)) * op_.in;
    const CpuBuffer& y = cpu(op_.y);
    const PackedLinear& layer = cpu(op_.layer);
    const int tiles = parts_of(piece_.width, layer.tile_rows(kernels_));
    const PanelRows block = layer.rows(panel, first_in);
    const float* bias = ends ? layer.bias() + panel * kPanel : nullptr;
    for (int line = 0; line < piece_.height; ++line) {
      const float* a =
          band_ + (line * shape_.step + parity_line + tap_line) * band_line + parity_column * op_.in + first;
      const int y_line = (piece_.top + line) * shape_.parities + parity_line;
      for (int tile = 0; tile < tiles; ++tile) {
        const int column = begin_of(piece_.width, tile, tiles), rows = begin_of(piece_.width, tile + 1, tiles) - column;
        const int y_column = (piece_.left + column) * shape_.parities + parity_column;
        const int y_row = (piece_.sample * target_.height + y_line) * target_.width + y_column;
        tile_of(kernels_, outputs, rows, a + column * step, step, block, last - first, !begins || op_.add, bias,
                y.row<float>(y_row) + panel * kPanel, shape_.parities * y.stride(),
                layer.ahead(next.panel, next.first, last - first, line * tiles + tile, piece_.height * tiles));
      }
    }
  }

  const Kernels& kernels_;
  const Convolution& op_;
  const KernelShape& shape_;
  const Piece& piece_;
  const float* band_;
  Grid target_;
  int line_inputs_;
};

}  // namespace

void CpuStream::do_run(const Convolution& op) {
  const KernelShape shape(op.resampling);
  const Pieces pieces(shape, shape.places(op.grid), op.in, cpu(op.layer).tile_rows(kernels_));
  if (is_narrow(op)) return convolve_narrow(kernels_, *pool_, op, shape, pieces, bands_);

  const int panels = panels_of(op.out);
  // Enough tasks for every thread, but no more panels apart than there must be: a thread fills its band for each piece
  // that it comes to.
  int group = panels;
  while (group > 1 && pieces.count() * (panels / group) < 4 * pool_->threads()) group = (group + 1) / 2;
  const int groups = (panels + group - 1) / group;
  const size_t band_size = pieces.band_pixels() * op.in;
  float* bands = bands_.get<float>(pool_->threads() * band_size);
  int* filled = filled_.get<int>(pool_->threads());  // with which piece; none yet
  std::fill_n(filled, pool_->threads(), -1);

  pool_->run(pieces.count() * groups, [&](int task, int thread) {
    const Piece piece = pieces[task / groups];
    float* band = bands + thread * band_size;
    // The tasks of a piece follow each other, so a thread mostly comes to several.
    if (filled[thread] != task / groups) fill_band(kernels_, op, shape, piece, band);
    filled[thread] = task / groups;
    const int first_panel = task % groups * group;
    PieceProduct(kernels_, op, shape, piece, band).run(first_panel, std::min(panels, first_panel + group));
  });
}

}  // namespace magnets::cpu
