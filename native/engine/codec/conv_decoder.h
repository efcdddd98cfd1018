// From codes on the coarsest level to pixels, by convolutions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "canvas.h"

namespace magnets {

class ConvDecoder {
 public:
  /// Asks for the tensors `prefix`input, `prefix`middle.…, `prefix`levels.…, `prefix`norm and `prefix`output.
  ConvDecoder(Loader& loader, const Levels& levels, const ConvDecoderConfig& config, const std::string& prefix);

  /// Changes the canvas, which holds codes. pixels: f32 [samples * height * width, channels].
  void run(Canvas& canvas, Buffer& pixels) const;

 private:
  ConvLayer input_;
  Stage middle_;
  std::vector<Stage> levels_;         // by level
  std::vector<ConvLayer> upsamples_;  // of level l + 1
  Norm norm_;
  ConvLayer output_;
};

}  // namespace magnets
