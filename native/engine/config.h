// What a checkpoint's config.json says, as the engine needs it. Checked by whoever reads the file.
#pragma once

#include <cstdint>

#include "../ops/ops.h"

namespace magnets {

/// A nested sub-model: the first `heads` attention heads and the first `hidden` MLP units of every layer.
struct Width {
  int heads;
  int hidden;
  bool operator==(const Width&) const = default;
};

// How a block is built. block.cpp is the page that says what each choice means.

enum class NormPlace { pre, post };         // before the sub-layer, or after its residual is added
enum class Gate { none, multiply };         // of the MLP
enum class QkNorm { none, rms };            // of queries and keys, before attention
enum class Modulation { none, per_class };  // of norms and residuals; with NormPlace::pre
enum class Biases { all, none };            // of linear layers

struct BlockConfig {
  int hidden_size;  // d, the residual stream
  int heads;
  int head_dim;
  int intermediate_size;
  NormPlace norm_place;
  Activation activation;
  float norm_eps;
  NormKind norm_kind = NormKind::layer_norm;
  Gate gate = Gate::none;
  QkNorm qk_norm = QkNorm::none;
  Modulation modulation = Modulation::none;
  Biases biases = Biases::all;

  int inner_size() const { return heads * head_dim; }
  Width full_width() const { return {heads, intermediate_size}; }
};

/// The stack of blocks that generator, encoder and decoder share.
struct TransformerConfig {
  int layers;
  BlockConfig block;
};

// How a generator ends and begins. generator.cpp says what each choice means.

enum class EmbeddingNorm { layer_norm, none };
enum class Head { dense, plain };       // before the output matrix: a dense layer, activation and norm, or nothing
enum class HeadWeights { words, own };  // the output matrix is the words' table, or a tensor of its own

/// Where classes modulate the blocks they are rows of this table. They are no tokens then.
struct ClassTable {
  int rows = 0;
  int register_id = 0;  // the vocabulary id at position 0 of every sequence
};

struct GeneratorConfig {
  TransformerConfig transformer;
  int codebook_size;  // C, the tokens that may be sampled: vocabulary ids 0 .. C - 1
  int vocab_size;     // V
  int token_count;    // N, without the class token or register
  EmbeddingNorm embedding_norm = EmbeddingNorm::layer_norm;
  Head head = Head::dense;
  HeadWeights head_weights = HeadWeights::words;
  ClassTable classes = {};  // with Modulation::per_class

  int positions() const { return token_count + 1; }  // S
};

struct Shape3 {
  int frames;
  int height;
  int width;
  int64_t size() const { return int64_t{frames} * height * width; }
};

/// A vision transformer as a codec (codec/vit.h).
struct VitConfig {
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
  int token_count() const { return static_cast<int>(grid().size()); }           // N
  int patch_size() const { return static_cast<int>(patch.size() * channels); }  // P
  size_t sample_size() const { return static_cast<size_t>(sample.size()) * channels; }
};

}  // namespace magnets
