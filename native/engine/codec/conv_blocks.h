// What a convolutional codec is made of: residual blocks, attention, and the pictures that they change.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../config.h"
#include "../weights/loader.h"
#include "all_rows.h"

namespace magnets {

/// A 3x3 convolution.
struct ConvLayer {
  ConvLayer() = default;
  ConvLayer(Loader& loader, const std::string& name, int out, int in, Resampling resampling = Resampling::none);

  std::unique_ptr<Linear> layer;
  int out = 0, in = 0;
  Resampling resampling = Resampling::none;
};

/// y = shortcut(x) + conv2(swish(norm2(conv1(swish(norm1(x)))))). The shortcut is x where the channels stay, else
/// that of the levels.
struct ResidualBlock {
  ResidualBlock(Loader& loader, const Levels& levels, const std::string& prefix, int out, int in);

  Norm norm1, norm2;
  ConvLayer conv1, conv2;
  std::unique_ptr<Linear> shortcut;  // null: none, or x
};

/// y = x + output(attention(norm(x))), one head over all pixels.
struct AttentionBlock {
  AttentionBlock(Loader& loader, const Levels& levels, const std::string& prefix, int channels);

  Norm norm;
  std::unique_ptr<Linear> query, key, value, output;
};

/// Residual blocks, perhaps with attention after each.
struct Stage {
  /// Asks for the tensors of a level, which begins with `in` channels.
  static Stage level(Loader& loader, const Levels& levels, const std::string& prefix, int level, int blocks, int in);
  /// Those of the coarsest level's middle: two blocks, or a block, an attention and a block.
  static Stage middle(Loader& loader, const Levels& levels, const std::string& prefix);

  std::vector<ResidualBlock> blocks;
  std::vector<AttentionBlock> attentions;
};

/// "name.3."
std::string numbered(const std::string& name, int number);

/// The pictures of one pass, at the level that it has come to. Beside them lie a second set of the same size at most,
/// the half-made ones of a block, and whatever attention needs: a picture of 512 x 512 x 128 is 134 MB.
class Canvas {
 public:
  /// Without pictures yet.
  Canvas(Backend& backend, const Levels& levels, int samples, const StopFlag* stop);

  /// Pictures that one pass takes at most, of `count`.
  static int samples_at_once(const Levels& levels, int count);

  /// On which all of this runs. What else it is to read or write must have been there before the canvas.
  Stream& stream() { return *stream_; }
  const Grid& grid() const { return grid_; }
  /// Room for pictures, instead of those before.
  Buffer& reset(const Grid& grid, int channels);

  void run(const Stage& stage);
  void run(const ConvLayer& layer);
  void pool();
  /// y = layer(swish(norm(x))).
  void finish(const Norm& norm, const ConvLayer& layer, Buffer& y);
  /// swish(norm(x)), in the memory of the second set.
  const Buffer& activate(const Norm& norm);

 private:
  struct AttentionMemory {
    AllRows rows;
    std::unique_ptr<KvCache> cache;
    std::unique_ptr<Buffer> q, mixed;
  };

  void run(const ResidualBlock& block);
  void run(const AttentionBlock& block);
  std::unique_ptr<Buffer> pictures(const Grid& grid, int channels);
  /// The pictures become these, when all that has been asked for is done.
  void replace(std::unique_ptr<Buffer> x, const Grid& grid, int channels);
  /// Beside x, as large as that with so many channels.
  Buffer& second(int channels);
  /// Before there are pictures of another size beside x.
  void let_go_of_second();
  void statistics(const Norm& norm, const Buffer& x, int channels);
  void convolve(const ConvLayer& layer, const Buffer& x, bool under_norm, bool add, Buffer& y);

  Backend& backend_;
  const Levels& levels_;
  Grid grid_{};
  int channels_ = 0, second_channels_ = 0;
  std::unique_ptr<Buffer> x_, second_, scale_shift_;
  std::unique_ptr<AttentionMemory> attention_;
  std::unique_ptr<Stream> stream_;  // the first to go: then nothing runs any more
};

}  // namespace magnets
