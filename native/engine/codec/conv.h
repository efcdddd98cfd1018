// A convolutional encoder and decoder with a quantizer between them (VQGAN: MaskGIT's tokenizer, LlamaGen's VQ-16,
// MaskBit's), as docs/checkpoints.md describes it.
#pragma once

#include <memory>
#include <vector>

#include "../config.h"
#include "../weights/loader.h"
#include "codec.h"
#include "conv_decoder.h"

namespace magnets {

class Conv : public Codec {
 public:
  /// Without weights where the loader only lists: its memory can be measured, but nothing computed.
  Conv(std::shared_ptr<Backend> backend, const ConvConfig& config, Loader& loader);

 protected:
  Latents do_encode(PictureMemory& memory, const std::vector<float>& pixels, int count,
                    const StopFlag* stop) const override;
  Pixels do_detokenize(Backend& backend, PictureMemory& memory, const std::vector<int32_t>& tokens, int count,
                       const StopFlag* stop) const override;
  int tokens_of_sample() const override { return config_.token_count(); }

 private:
  void load_encoder(Loader& loader);
  void load_codes(Loader& loader);

  std::unique_ptr<Buffer> encode_samples(Canvas& canvas, const float* pixels, int samples) const;

  ConvConfig config_;
  ConvLayer encoder_input_;
  std::vector<Stage> encoder_levels_;  // by level, like all of a level
  std::vector<ConvLayer> downsamples_;
  Stage encoder_middle_;
  Norm encoder_norm_;
  ConvLayer encoder_output_;  // 3x3
  std::unique_ptr<Linear> encoder_output_1x1_, encoder_code_;
  std::unique_ptr<Table> code_inputs_;  // [codebook_size, code_channels]
  std::unique_ptr<ConvDecoder> decoder_;
};

}  // namespace magnets
