// A picture as a short line of tokens without a grid (TiTok, arXiv 2406.07550): vision transformers over patches and
// latent rows, and a decoder of convolutions, as docs/checkpoints.md describes them.
#pragma once

#include <memory>
#include <vector>

#include "../config.h"
#include "../transformer.h"
#include "../weights/loader.h"
#include "codec.h"
#include "conv_decoder.h"

namespace magnets {

class Titok : public Codec {
 public:
  /// Without weights where the loader only lists: its memory can be measured, but nothing computed.
  Titok(std::shared_ptr<Backend> backend, const TitokConfig& config, Loader& loader);

 protected:
  Latents do_encode(PictureMemory& memory, const std::vector<float>& pixels, int count,
                    const StopFlag* stop) const override;
  Pixels do_detokenize(Backend& backend, PictureMemory& memory, const std::vector<int32_t>& tokens, int count,
                       const StopFlag* stop) const override;
  int tokens_of_sample() const override { return config_.latents; }

 private:
  void load_mixture(Loader& loader);
  void mix(Backend& backend, Input x, const Buffer& patches, int samples, Canvas& canvas) const;

  TitokConfig config_;
  std::unique_ptr<Linear> encoder_input_;
  std::unique_ptr<Buffer> encoder_positions_;  // activations [S, d]
  Norm encoder_input_norm_;
  std::unique_ptr<Transformer> encoder_;
  std::unique_ptr<Linear> encoder_output_;
  std::unique_ptr<Table> code_inputs_;         // [codebook_size + 1, d]: decoder.input of every code, then zeros
  std::unique_ptr<Buffer> decoder_positions_;  // f32 [S, d]
  Norm decoder_input_norm_;
  std::unique_ptr<Transformer> decoder_;
  std::unique_ptr<Linear> mixture_hidden_, mixture_scores_;
  std::unique_ptr<Linear> mixture_;  // [code_channels, pixel_codes]: columns are what is mixed
  std::unique_ptr<ConvDecoder> pixels_;
};

}  // namespace magnets
