#include "conv_decoder.h"

namespace magnets {

ConvDecoder::ConvDecoder(Loader& loader, const Levels& levels, const ConvDecoderConfig& config,
                         const std::string& prefix) {
  const int coarsest = levels.coarsest();
  int channels = levels.channels_of(coarsest);
  input_ = ConvLayer(loader, prefix + "input", channels, config.code_channels);
  middle_ = Stage::middle(loader, levels, prefix + "middle");
  levels_.resize(coarsest + 1);
  upsamples_.resize(coarsest);
  for (int i = coarsest; i >= 0; --i) {
    const std::string name = numbered(prefix + "levels", i);
    levels_[i] = Stage::level(loader, levels, name, i, config.blocks, channels);
    channels = levels.channels_of(i);
    if (i > 0) upsamples_[i - 1] = ConvLayer(loader, name + "upsample", channels, channels, Resampling::up);
  }
  norm_ = loader.norm(prefix + "norm", channels, levels.norm_eps);
  output_ = ConvLayer(loader, prefix + "output", levels.channels, channels);
}

void ConvDecoder::run(Canvas& canvas, Buffer& pixels) const {
  canvas.run(input_);
  canvas.run(middle_);
  for (int i = static_cast<int>(levels_.size()) - 1; i >= 0; --i) {
    canvas.run(levels_[i]);
    if (i > 0) canvas.run(upsamples_[i - 1]);
  }
  canvas.finish(norm_, output_, pixels);
}

}  // namespace magnets
