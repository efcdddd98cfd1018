#include "conv_layers.h"

namespace magnets {

std::string numbered(const std::string& name, int number) { return name + "." + std::to_string(number) + "."; }

ConvLayer::ConvLayer(Loader& loader, const std::string& name, int out, int in, Resampling resampling)
    : layer(loader.convolution(name, out, in, resampling)), out(out), in(in), resampling(resampling) {}

ResidualBlock::ResidualBlock(Loader& loader, const Levels& levels, const std::string& prefix, int out, int in)
    : norm1(loader.norm(prefix + "norm1", in, levels.norm_eps)),
      norm2(loader.norm(prefix + "norm2", out, levels.norm_eps)),
      conv1(loader, prefix + "conv1", out, in),
      conv2(loader, prefix + "conv2", out, out) {
  if (in != out && levels.shortcut == Shortcut::projection) shortcut = loader.linear(prefix + "shortcut", out, in);
}

AttentionBlock::AttentionBlock(Loader& loader, const Levels& levels, const std::string& prefix, int channels)
    : norm(loader.norm(prefix + "norm", channels, levels.norm_eps)),
      query(loader.linear(prefix + "query", channels, channels, true, Grain::fine, {.out = channels})),
      key(loader.linear(prefix + "key", channels, channels, true, Grain::fine, {.out = channels})),
      value(loader.linear(prefix + "value", channels, channels, true, Grain::fine, {.out = channels})),
      output(loader.linear(prefix + "output", channels, channels, true, Grain::fine, {.in = channels})) {}

Stage Stage::level(Loader& loader, const Levels& levels, const std::string& prefix, int level, int blocks, int in) {
  Stage stage;
  const int out = levels.channels_of(level);
  for (int i = 0; i < blocks; ++i) {
    stage.blocks.emplace_back(loader, levels, numbered(prefix + "blocks", i), out, i == 0 ? in : out);
    if (levels.attention && level == levels.coarsest()) {
      stage.attentions.emplace_back(loader, levels, numbered(prefix + "attentions", i), out);
    }
  }
  return stage;
}

Stage Stage::middle(Loader& loader, const Levels& levels, const std::string& prefix) {
  Stage stage;
  const int channels = levels.channels_of(levels.coarsest());
  int number = 0;
  stage.blocks.emplace_back(loader, levels, numbered(prefix, number++), channels, channels);
  if (levels.attention) stage.attentions.emplace_back(loader, levels, numbered(prefix, number++), channels);
  stage.blocks.emplace_back(loader, levels, numbered(prefix, number++), channels, channels);
  return stage;
}

}  // namespace magnets
