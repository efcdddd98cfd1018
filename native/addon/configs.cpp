#include "configs.h"

#include <climits>
#include <string>
#include <vector>

#include "values.h"

namespace magnets::addon {

namespace {

/// Of one sample, and of one tensor: TypeScript lets no more through. It is checked again because sizes are multiplied
/// in 32 bits from here on.
constexpr int64_t kMostElements = INT_MAX;

Napi::Object config_object(const Napi::Value& value) {
  if (!value.IsObject()) throw Napi::TypeError::New(value.Env(), "expected a config");
  return value.As<Napi::Object>();
}

void check_product(const char* what, std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  for (const int64_t factor : factors) {
    if (factor < 1) throw Error("ERR_CHECKPOINT", std::string("expected positive sizes for ") + what);
    if (product > kMostElements / factor) {
      throw Error("ERR_CHECKPOINT",
                  std::string("expected at most ") + std::to_string(kMostElements) + " elements for " + what);
    }
    product *= factor;
  }
}

/// The block of a transformer of pre- or post-LN; BERT's in everything else that a generator may choose.
BlockConfig to_block_config(const Napi::Object& object, NormPlace place) {
  const BlockConfig config{
      .hidden_size = to_int(object, "hiddenSize"),
      .heads = to_int(object, "heads"),
      .head_dim = to_int(object, "headDim"),
      .intermediate_size = to_int(object, "intermediateSize"),
      .norm_place = place,
      .activation = one_of<Activation>(
          object.Get("activation"), "an activation",
          {{"gelu", Activation::gelu}, {"gelu_tanh", Activation::gelu_tanh}, {"silu", Activation::silu}}),
      .norm_eps = to_float(object, "normEps"),
  };
  check_product("a projection", {config.hidden_size, config.heads, config.head_dim});
  check_product("an MLP", {config.hidden_size, config.intermediate_size});
  return config;
}

Shape3 to_shape(const Napi::Object& object, const char* key) {
  const Napi::Object shape = config_object(object.Get(key));
  const auto extent_of = [&](uint32_t axis) {
    const Napi::Value value = shape.Get(axis);
    const int extent = value.IsNumber() ? value.As<Napi::Number>().Int32Value() : 0;
    if (extent < 1) throw Error("ERR_CHECKPOINT", std::string("expected positive extents for ") + key);
    return extent;
  };
  return {extent_of(0), extent_of(1), extent_of(2)};
}

std::vector<int> to_ints(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) throw Napi::TypeError::New(object.Env(), std::string("expected a list for ") + key);
  const auto array = value.As<Napi::Array>();
  std::vector<int> values(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) values[i] = array.Get(i).ToNumber().Int32Value();
  return values;
}

int to_layers(const Napi::Object& object, const char* key) {
  const int layers = to_int(object, key);
  if (layers < 0) throw Error("ERR_CHECKPOINT", std::string("expected a number of layers for ") + key);
  return layers;
}

}  // namespace

GeneratorConfig to_generator_config(const Napi::Value& value) {
  const Napi::Object object = config_object(value);
  const NormPlace place = one_of<NormPlace>(object.Get("normPlace"), "a place of norms",
                                            {{"pre", NormPlace::pre}, {"post", NormPlace::post}});
  BlockConfig block = to_block_config(object, place);
  block.norm_kind = one_of<NormKind>(object.Get("normKind"), "a kind of norms",
                                     {{"layer_norm", NormKind::layer_norm}, {"rms_norm", NormKind::rms_norm}});
  block.gate = one_of<Gate>(object.Get("mlpGate"), "a gate", {{"none", Gate::none}, {"multiply", Gate::multiply}});
  block.qk_norm = one_of<QkNorm>(object.Get("qkNorm"), "a QK norm", {{"none", QkNorm::none}, {"rms", QkNorm::rms}});
  block.modulation = one_of<Modulation>(object.Get("modulation"), "a modulation",
                                        {{"none", Modulation::none}, {"class", Modulation::per_class}});
  block.biases = to_bool(object, "biases") ? Biases::all : Biases::none;
  const GeneratorConfig config{
      .transformer = {.layers = to_layers(object, "layers"), .block = block},
      .codebook_size = to_int(object, "codebookSize"),
      .vocab_size = to_int(object, "vocabSize"),
      .token_count = to_int(object, "tokenCount"),
      .sub_tokens = to_int(object, "subTokens"),
      .embedding_norm = to_bool(object, "embeddingNorm") ? EmbeddingNorm::layer_norm : EmbeddingNorm::none,
      .head = one_of<Head>(object.Get("head"), "a head", {{"dense", Head::dense}, {"plain", Head::plain}}),
      .head_weights = to_bool(object, "tied") ? HeadWeights::words : HeadWeights::own,
      .classes = {.rows = to_int(object, "classRows"), .register_id = to_int(object, "registerId")},
  };
  if (block.modulation == Modulation::per_class) {
    if (place != NormPlace::pre) throw Error("ERR_CHECKPOINT", "expected modulation of norms before a block's halves");
    check_product("the classes", {config.classes.rows, block.hidden_size});
    check_product("the modulation of a layer", {6, block.hidden_size, block.hidden_size});
  }
  check_product("an embedding table", {config.vocab_size, config.transformer.block.hidden_size});
  check_product("position embeddings", {config.token_count + int64_t{1}, config.transformer.block.hidden_size});
  return config;
}

namespace {

VitConfig to_vit_config(const Napi::Object& object) {
  const BlockConfig block = to_block_config(object, NormPlace::pre);
  const VitConfig config{
      .encoder = {.layers = to_layers(object, "encoderLayers"), .block = block},
      .decoder = {.layers = to_layers(object, "decoderLayers"), .block = block},
      .codebook_size = to_int(object, "codebookSize"),
      .codebook_dim = to_int(object, "codebookDim"),
      .sample = to_shape(object, "sampleShape"),
      .patch = to_shape(object, "patchShape"),
      .channels = to_int(object, "channels"),
  };
  check_product("a sample", {config.sample.frames, config.sample.height, config.sample.width, config.channels});
  check_product("a patch's projection",
                {config.patch.frames, config.patch.height, config.patch.width, config.channels, block.hidden_size});
  check_product("position embeddings", {config.grid().size(), block.hidden_size});
  check_product("a codebook", {config.codebook_size, config.codebook_dim});
  check_product("the codes' inputs", {config.codebook_size, block.hidden_size});
  return config;
}

/// Of pictures of this height, width and number of channels; `object` is the config that has the rest.
Levels to_levels(const Napi::Object& object, const Shape3& sample, int channels) {
  const Levels levels{
      .height = sample.height,
      .width = sample.width,
      .channels = channels,
      .base_channels = to_int(object, "baseChannels"),
      .multipliers = to_ints(object, "multipliers"),
      .attention = to_bool(object, "attention"),
      .shortcut = one_of<Shortcut>(object.Get("shortcut"), "a shortcut",
                                   {{"none", Shortcut::none}, {"projection", Shortcut::projection}}),
      .norm_groups = to_int(object, "normGroups"),
      .norm_eps = to_float(object, "normEps"),
  };
  constexpr size_t kMostLevels = 16;  // whose sides fit 32 bits
  const int scale = 1 << std::min(kMostLevels, levels.multipliers.size() - 1);
  if (levels.multipliers.empty() || levels.multipliers.size() > kMostLevels || levels.height % scale != 0 ||
      levels.width % scale != 0) {
    throw Error("ERR_CHECKPOINT", "expected multipliers of levels that halve the sample evenly");
  }
  check_product("a sample", {levels.height, levels.width, levels.channels});
  check_product("groups of channels", {levels.norm_groups});
  for (const int multiplier : levels.multipliers) check_product("channels", {levels.base_channels, multiplier});
  for (int level = 0; level < levels.count(); ++level) {
    const int own = levels.channels_of(level);
    const int beside = levels.channels_of(std::min(level + 1, levels.coarsest()));
    check_product("a convolution", {16, own, own});
    check_product("pictures", {levels.height >> level, levels.width >> level, std::max(own, beside)});
    if (own % levels.norm_groups != 0) throw Error("ERR_CHECKPOINT", "expected groups that divide the channels");
  }
  return levels;
}

ConvDecoderConfig to_conv_decoder_config(const Napi::Object& object, const Levels& levels) {
  const ConvDecoderConfig config{.blocks = to_int(object, "decoderBlocks"),
                                 .code_channels = to_int(object, "codeChannels")};
  check_product("a convolution of codes", {9, levels.channels_of(levels.coarsest()), config.code_channels});
  return config;
}

ConvConfig to_conv_config(const Napi::Object& object) {
  const Levels levels = to_levels(object, to_shape(object, "sampleShape"), to_int(object, "channels"));
  const ConvConfig config{
      .levels = levels,
      .encoder_blocks = to_int(object, "encoderBlocks"),
      .downsample = one_of<Downsample>(object.Get("downsample"), "a way of downsampling",
                                       {{"mean", Downsample::mean}, {"conv", Downsample::convolution}}),
      .encoder_output_kernel = to_int(object, "encoderOutputKernel"),
      .quantizer = one_of<Quantizer>(
          object.Get("quantizer"), "a quantizer",
          {{"nearest", Quantizer::nearest}, {"cosine", Quantizer::cosine}, {"bits", Quantizer::bits}}),
      .codebook_size = to_int(object, "codebookSize"),
      .codebook_dim = to_int(object, "codebookDim"),
      .decoder = to_conv_decoder_config(object, levels),
      .signed_pixels = to_bool(object, "signedPixels"),
  };
  check_product("a codebook", {config.codebook_size, config.codebook_dim});
  check_product("the codes' inputs", {config.codebook_size, config.decoder.code_channels});
  if (config.quantizer == Quantizer::bits &&
      (config.codebook_dim > 30 || config.codebook_size != 1 << config.codebook_dim)) {
    throw Error("ERR_CHECKPOINT", "expected a code for every number of so many bits");
  }
  return config;
}

TitokConfig to_titok_config(const Napi::Object& object) {
  const VitConfig vit = to_vit_config(object);
  const Napi::Object pixels = config_object(object.Get("pixelDecoder"));
  const Levels levels = to_levels(pixels, vit.sample, vit.channels);
  const TitokConfig config{
      .vit = vit,
      .latents = to_int(object, "latents"),
      .levels = levels,
      .pixel_codes = to_int(pixels, "codebookSize"),
      .decoder = to_conv_decoder_config(pixels, levels),
  };
  const int64_t d = vit.encoder.block.hidden_size;
  check_product("latent tokens", {config.latents});
  if (levels.grid(1, levels.coarsest()).rows() != vit.grid().size()) {
    throw Error("ERR_CHECKPOINT", "expected a patch for every pixel of the coarsest level");
  }
  check_product("position embeddings", {1 + vit.grid().size() + config.latents, d});
  check_product("the codes' inputs", {int64_t{vit.codebook_size} + 1, d});
  check_product("a mixture's layers", {2, d, std::max<int64_t>(d, config.pixel_codes)});
  check_product("a mixture", {config.pixel_codes, std::max<int64_t>(config.decoder.code_channels, vit.token_count())});
  return config;
}

}  // namespace

CodecConfig to_codec_config(const Napi::Value& value) {
  const Napi::Object object = config_object(value);
  enum class Kind { vit, conv, titok };
  switch (one_of<Kind>(object.Get("kind"), "a kind of tokenizer",
                       {{"vit", Kind::vit}, {"conv", Kind::conv}, {"titok", Kind::titok}})) {
    case Kind::conv:
      return to_conv_config(object);
    case Kind::titok:
      return to_titok_config(object);
    default:
      return to_vit_config(object);
  }
}

}  // namespace magnets::addon
