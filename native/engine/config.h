// What a checkpoint's config.json says, as the engine needs it. Checked by whoever reads the file.
#pragma once

namespace magnets {

/// A nested sub-model: the first `heads` attention heads and the first `hidden` MLP units of every layer.
struct Width {
  int heads;
  int hidden;
  bool operator==(const Width&) const = default;
};

/// The stack of layers that generator, encoder and decoder share.
struct TransformerConfig {
  int layers;
  int hidden_size;  // d, the residual stream
  int heads;
  int head_dim;
  int intermediate_size;
  bool pre_norm;
  bool gelu_tanh;
  float layer_norm_eps;

  int inner_size() const { return heads * head_dim; }
  Width full_width() const { return {heads, intermediate_size}; }
};

struct GeneratorConfig {
  TransformerConfig transformer;
  int codebook_size;  // C, the tokens that may be sampled: vocabulary ids 0 .. C - 1
  int vocab_size;     // V
  int tokens;         // N, without the class token

  int positions() const { return tokens + 1; }
};

struct Shape3 {
  int frames;
  int height;
  int width;
  int size() const { return frames * height * width; }
};

struct TokenizerConfig {
  TransformerConfig encoder;
  TransformerConfig decoder;
  int codebook_size;
  int codebook_dim;
  Shape3 sample;  // pixels
  Shape3 patch;   // divides sample
  int channels;

  Shape3 grid() const {
    return {sample.frames / patch.frames, sample.height / patch.height, sample.width / patch.width};
  }
  int tokens() const { return grid().size(); }
  int patch_size() const { return patch.size() * channels; }  // P
  int sample_size() const { return sample.size() * channels; }
};

}  // namespace magnets
