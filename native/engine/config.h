// What a checkpoint's config.json says, as the engine needs it. Checked by whoever reads the file.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "../ops/conv_ops.h"
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
  int codebook_size;   // C, the tokens that may be sampled: vocabulary ids 0 .. C - 1
  int vocab_size;      // V
  int token_count;     // N, positions without the class token or register
  int sub_tokens = 1;  // of a position; each has an equal part of the codebook (MaskBit)
  EmbeddingNorm embedding_norm = EmbeddingNorm::layer_norm;
  Head head = Head::dense;
  HeadWeights head_weights = HeadWeights::words;
  ClassTable classes = {};  // with Modulation::per_class

  int positions() const { return token_count + 1; }                 // S
  int sub_token_count() const { return token_count * sub_tokens; }  // of a sample
  /// Columns of the logits.
  int logits_columns() const { return head_weights == HeadWeights::own ? codebook_size : vocab_size; }
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

// How a convolutional codec is built. codec/conv.cpp is the page that says what each choice means.

enum class Shortcut { none, projection };        // of a residual block whose channels change
enum class Downsample { mean, convolution };     // of the encoder
enum class Quantizer { nearest, cosine, bits };  // from a latent to its token

/// The pictures of an encoder or a decoder of convolutions. Level 0 is that of the pixels, each next one half as large.
struct Levels {
  int height, width;  // pixels
  int channels;
  int base_channels;
  std::vector<int> multipliers;  // of each level: its channels are so many times base_channels
  bool attention;                // after every block of the coarsest level, and in the middle
  Shortcut shortcut;
  int norm_groups;
  float norm_eps;

  int count() const { return static_cast<int>(multipliers.size()); }
  int coarsest() const { return count() - 1; }
  int channels_of(int level) const { return base_channels * multipliers[level]; }
  Grid grid(int samples, int level) const { return {samples, height >> level, width >> level}; }
  size_t sample_size() const { return static_cast<size_t>(height) * width * channels; }
};

/// From rows of `code_channels` on the coarsest level to pixels.
struct ConvDecoderConfig {
  int blocks;  // residual blocks of a level
  int code_channels;
};

/// A convolutional encoder and decoder (codec/conv.h).
struct ConvConfig {
  Levels levels;
  int encoder_blocks;
  Downsample downsample;
  int encoder_output_kernel;  // 1 or 3
  Quantizer quantizer;
  int codebook_size;
  int codebook_dim;
  ConvDecoderConfig decoder;  // whose channels leave the encoder too; projected where they are not codebook_dim
  bool signed_pixels;         // the encoder sees pixels of [-1, 1]

  int token_count() const { return levels.grid(1, levels.coarsest()).rows(); }  // N
};

/// Latent tokens beside the patches of a vision transformer, and a decoder of convolutions (codec/titok.h).
struct TitokConfig {
  VitConfig vit;  // its patches are the pixels of the coarsest level
  int latents;    // N
  Levels levels;
  int pixel_codes;  // vectors that the coarsest level is mixed of
  ConvDecoderConfig decoder;

  int positions() const { return 1 + vit.token_count() + latents; }  // of a sequence: the class, patches, latents
};

/// The kinds of codecs (codec/make_codec.h).
using CodecConfig = std::variant<VitConfig, ConvConfig, TitokConfig>;

}  // namespace magnets
