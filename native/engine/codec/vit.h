// A vision transformer with a vector quantizer between encoder and decoder (docs/checkpoints.md), on the same blocks as
// the generator, at full width.
#pragma once

#include <memory>

#include "../config.h"
#include "../transformer.h"
#include "../weights/loader.h"
#include "codec.h"

namespace magnets {

class Vit : public Codec {
 public:
  /// Without weights where the loader only lists: its memory can be measured, but nothing computed.
  Vit(std::shared_ptr<Backend> backend, const VitConfig& config, Loader& loader);

 protected:
  Latents do_encode(PictureMemory& memory, const std::vector<float>& pixels, int count,
                    const StopFlag* stop) const override;
  Pixels do_detokenize(Backend& backend, PictureMemory& memory, const std::vector<int32_t>& tokens, int count,
                       const StopFlag* stop) const override;
  int tokens_of_sample() const override { return config_.token_count(); }

 private:
  VitConfig config_;
  std::unique_ptr<Linear> encoder_input_;
  std::unique_ptr<Buffer> encoder_positions_;  // activations [N, d]
  std::unique_ptr<Transformer> encoder_;
  std::unique_ptr<Linear> encoder_output_;
  std::unique_ptr<Table> code_inputs_;         // [codebook_size, d]: decoder.input of every code
  std::unique_ptr<Buffer> decoder_positions_;  // f32 [N, d]
  std::unique_ptr<Transformer> decoder_;
  std::unique_ptr<Linear> decoder_output_;
};

}  // namespace magnets
