// The pictures of one pass of a convolutional codec, and what its layers do to them.
#pragma once

#include <memory>

#include "all_rows.h"
#include "conv_layers.h"
#include "picture_memory.h"

namespace magnets {

/// The pictures of one pass, at the level that it has come to. Beside them lie a second set of the same size at most,
/// the half-made ones of a block, and whatever attention needs: a picture of 512 x 512 x 128 is 134 MB.
class Canvas {
 public:
  /// Without pictures yet. What it takes from `memory`, which outlives it, it gives back in the end.
  Canvas(Backend& backend, const Levels& levels, int samples, PictureMemory& memory, const StopFlag* stop);
  ~Canvas();

  /// Pictures that one pass takes at most, of `count`.
  static int samples_at_once(const Backend& backend, const Levels& levels, int count);

  /// On which all of this runs. What else it is to read or write must have been there before the canvas.
  Stream& stream() { return *stream_; }
  const Grid& grid() const { return grid_; }
  /// Room for pictures, instead of those before.
  Buffer& reset(const Grid& grid, int channels);

  void run(const Stage& stage);
  void run(const ConvLayer& layer);
  void pool();
  /// y = layer(silu(norm(x))).
  void finish(const Norm& norm, const ConvLayer& layer, Buffer& y);
  /// silu(norm(x)), in the memory of the second set.
  const Buffer& activate(const Norm& norm);

 private:
  struct AttentionMemory {
    AllRows rows;
    std::unique_ptr<KvCache> cache;
    std::unique_ptr<Buffer> q, mixed;
  };

  void run(const ResidualBlock& block);
  void run(const AttentionBlock& block);
  PictureBuffer pictures(const Grid& grid, int channels);
  /// The next pictures, or none, take the place of x, whose memory may be taken for what is asked for from then on.
  void replace(const Grid& grid, int channels);
  /// Beside x, as large as that with so many channels.
  Buffer& second(int channels);
  /// Before there are pictures of another size beside x.
  void let_go_of_second();
  void statistics(const Norm& norm, const Buffer& x, int channels);
  void convolve(const ConvLayer& layer, const Buffer& x, bool under_norm, bool add, Buffer& y);

  Backend& backend_;
  const Levels& levels_;
  PictureMemory& memory_;
  Grid grid_{};
  int channels_ = 0, second_channels_ = 0;
  PictureBuffer x_, next_, second_;
  std::unique_ptr<Buffer> scale_shift_;
  std::unique_ptr<AttentionMemory> attention_;
  std::unique_ptr<Stream> stream_;  // the first to go: then nothing runs any more
};

}  // namespace magnets
