// Pixels to tokens and back: a vision transformer with a vector quantizer between encoder and decoder
// (docs/checkpoints.md), on the same layers as the generator, at full width.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../backend.h"
#include "config.h"
#include "transformer.h"
#include "weights.h"

namespace magnets {

class Tokenizer {
 public:
  Tokenizer(std::shared_ptr<Backend> backend, const TokenizerConfig& config, WeightSource& source, DType dtype);

  const TokenizerConfig& config() const { return config_; }

  /// pixels [count, frames, height, width, channels] in [0, 1] -> tokens [count, N]; adds its FLOPs to `flops`.
  std::vector<int32_t> encode(const std::vector<float>& pixels, int count, Flops& flops) const;

  /// tokens [count, N] -> pixels [count, frames, height, width, channels] in [0, 1]; adds its FLOPs to `flops`.
  std::vector<float> decode(const std::vector<int32_t>& tokens, int count, Flops& flops) const;

 private:
  std::shared_ptr<Backend> backend_;
  TokenizerConfig config_;
  std::unique_ptr<Linear> encoder_input_;
  std::unique_ptr<Buffer> encoder_positions_;
  std::unique_ptr<Transformer> encoder_;
  std::unique_ptr<Linear> encoder_output_;
  std::unique_ptr<Linear> nearest_code_;  // [codebook_size, codebook_dim]: z · c - |c|² / 2, largest for the nearest
  std::unique_ptr<Linear> code_input_;    // [codebook_size, d]: decoder.input of every code, a table
  std::unique_ptr<Buffer> decoder_positions_;
  std::unique_ptr<Transformer> decoder_;
  std::unique_ptr<Linear> decoder_output_;
};

}  // namespace magnets
