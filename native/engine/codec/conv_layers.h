// What a convolutional codec is made of: layers, residual blocks and attention, with their weights. Canvas runs them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../config.h"
#include "../weights/loader.h"

namespace magnets {

/// A 3x3 convolution.
struct ConvLayer {
  ConvLayer() = default;
  ConvLayer(Loader& loader, const std::string& name, int out, int in, Resampling resampling = Resampling::none);

  std::unique_ptr<Linear> layer;
  int out = 0, in = 0;
  Resampling resampling = Resampling::none;
};

/// y = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))). The shortcut is x where the channels stay, else
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

}  // namespace magnets
