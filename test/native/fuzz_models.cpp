// libFuzzer: models of any small sizes and kinds, with tensors of any dtype, length and value, are loaded and run on
// the CPU. Each must be refused with a code or compute, without a report of AddressSanitizer or UBSan.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/codec/conv.h"
#include "../../native/engine/codec/titok.h"
#include "../../native/engine/codec/vit.h"
#include "../../native/engine/session.h"

using namespace magnets;

namespace {

BlockConfig to_block(FuzzedDataProvider& data) {
  return {.hidden_size = data.ConsumeIntegralInRange(1, 40),
          .heads = data.ConsumeIntegralInRange(1, 5),
          .head_dim = data.ConsumeIntegralInRange(1, 24),
          .intermediate_size = data.ConsumeIntegralInRange(1, 40),
          .norm_place = data.PickValueInArray({NormPlace::pre, NormPlace::post}),
          .activation = data.PickValueInArray({Activation::gelu, Activation::gelu_tanh, Activation::silu}),
          .norm_eps = 1e-6f,
          .norm_kind = data.PickValueInArray({NormKind::layer_norm, NormKind::rms_norm}),
          .gate = data.PickValueInArray({Gate::none, Gate::multiply}),
          .qk_norm = data.PickValueInArray({QkNorm::none, QkNorm::rms}),
          .modulation = Modulation::none,
          .biases = data.PickValueInArray({Biases::all, Biases::none})};
}

GeneratorConfig to_generator(FuzzedDataProvider& data) {
  GeneratorConfig config{
      .transformer = {.layers = data.ConsumeIntegralInRange(1, 2), .block = to_block(data)},
      .codebook_size = data.ConsumeIntegralInRange(2, 40),
      .vocab_size = 0,
      .token_count = data.ConsumeIntegralInRange(1, 20),
      .embedding_norm = data.PickValueInArray({EmbeddingNorm::layer_norm, EmbeddingNorm::none}),
      .head = data.PickValueInArray({Head::dense, Head::plain}),
      .head_weights = data.PickValueInArray({HeadWeights::words, HeadWeights::own}),
  };
  config.vocab_size = config.codebook_size + 2;  // the class that all samples have, and [MASK]
  BlockConfig& block = config.transformer.block;
  if (data.ConsumeBool()) {
    block.norm_place = NormPlace::pre;
    block.modulation = Modulation::per_class;
    config.classes = {.rows = 1, .register_id = config.codebook_size};
  }
  return config;
}

VitConfig to_vit(FuzzedDataProvider& data) {
  BlockConfig block = to_block(data);
  block.norm_place = NormPlace::pre;
  const Shape3 patch{data.ConsumeIntegralInRange(1, 2), data.ConsumeIntegralInRange(1, 3),
                     data.ConsumeIntegralInRange(1, 3)};
  return {.encoder = {.layers = data.ConsumeIntegralInRange(0, 1), .block = block},
          .decoder = {.layers = 1, .block = block},
          .codebook_size = data.ConsumeIntegralInRange(2, 40),
          .codebook_dim = data.ConsumeIntegralInRange(1, 6),
          .sample = {patch.frames, patch.height * data.ConsumeIntegralInRange(1, 4),
                     patch.width * data.ConsumeIntegralInRange(1, 4)},
          .patch = patch,
          .channels = data.ConsumeIntegralInRange(1, 4)};
}

/// Levels of pictures whose coarsest has these sides.
Levels to_levels(FuzzedDataProvider& data, int height, int width, int channels) {
  Levels levels{.height = height,
                .width = width,
                .channels = channels,
                .base_channels = 0,
                .multipliers = std::vector<int>(data.ConsumeIntegralInRange(1, 3)),
                .attention = data.ConsumeBool(),
                .shortcut = data.PickValueInArray({Shortcut::none, Shortcut::projection}),
                .norm_groups = data.ConsumeIntegralInRange(1, 3),
                .norm_eps = 1e-6f};
  levels.base_channels = levels.norm_groups * data.ConsumeIntegralInRange(1, 4);
  for (int& multiplier : levels.multipliers) multiplier = data.ConsumeIntegralInRange(1, 3);
  levels.height <<= levels.coarsest();
  levels.width <<= levels.coarsest();
  return levels;
}

ConvDecoderConfig to_decoder(FuzzedDataProvider& data) {
  return {.blocks = data.ConsumeIntegralInRange(1, 2), .code_channels = data.ConsumeIntegralInRange(1, 6)};
}

ConvConfig to_conv(FuzzedDataProvider& data) {
  const int height = data.ConsumeIntegralInRange(1, 4), width = data.ConsumeIntegralInRange(1, 4);
  ConvConfig config{.levels = to_levels(data, height, width, data.ConsumeIntegralInRange(1, 4)),
                    .encoder_blocks = data.ConsumeIntegralInRange(1, 2),
                    .downsample = data.PickValueInArray({Downsample::mean, Downsample::convolution}),
                    .encoder_output_kernel = data.PickValueInArray({1, 3}),
                    .quantizer = data.PickValueInArray({Quantizer::nearest, Quantizer::cosine, Quantizer::bits}),
                    .codebook_size = data.ConsumeIntegralInRange(2, 40),
                    .codebook_dim = data.ConsumeIntegralInRange(1, 6),
                    .decoder = to_decoder(data),
                    .signed_pixels = data.ConsumeBool()};
  if (config.quantizer == Quantizer::bits) config.codebook_size = 1 << config.codebook_dim;
  return config;
}

TitokConfig to_titok(FuzzedDataProvider& data) {
  VitConfig vit = to_vit(data);
  vit.sample.frames = vit.patch.frames = 1;  // of pictures
  const Levels levels = to_levels(data, vit.grid().height, vit.grid().width, vit.channels);
  const int side = 1 << levels.coarsest();  // a patch is a pixel of the coarsest level
  vit.sample = {1, levels.height, levels.width};
  vit.patch = {1, side, side};
  return {.vit = vit,
          .latents = data.ConsumeIntegralInRange(1, 6),
          .levels = levels,
          .pixel_codes = data.ConsumeIntegralInRange(1, 20),
          .decoder = to_decoder(data)};
}

/// Tensors as a file could have them: of any dtype and any values, now and then too short or missing.
class Weights {
 public:
  Weights(FuzzedDataProvider& data, const std::vector<TensorShape>& expected) {
    for (const TensorShape& tensor : expected) {
      size_t size = 1;
      for (const int extent : tensor.shape) size *= extent;
      const DType dtype = data.PickValueInArray({DType::f32, DType::f32, DType::f16, DType::bf16, DType::i8});
      if (data.ConsumeProbability<float>() > 0.99f) size = data.ConsumeIntegralInRange<size_t>(0, size);
      add(data, tensor.name, dtype, size);
      if (dtype == DType::i8 && tensor.name.ends_with(".weight")) {
        add(data, tensor.name.substr(0, tensor.name.size() - 6) + "scale", DType::f32, tensor.shape.front());
      }
    }
  }
  FileWeights source() const {
    const auto size = static_cast<ssize_t>(bytes_.size());
    if (ftruncate(file(), 0) != 0 || pwrite(file(), bytes_.data(), bytes_.size(), 0) != size) abort();
    return FileWeights(tensors_);
  }

 private:
  /// One without a name; the tensors of each run take the place of those before.
  static int file() {
    static const int descriptor = memfd_create("weights", 0);
    return descriptor;
  }

  void add(FuzzedDataProvider& data, const std::string& name, DType dtype, size_t size) {
    const size_t element = dtype == DType::f32 ? 4 : dtype == DType::i8 ? 1 : 2;
    // What the fuzzer gives, again and again.
    tensors_[name] = {
        .path = "/proc/self/fd/" + std::to_string(file()), .position = bytes_.size(), .dtype = dtype, .size = size};
    const std::string pattern = data.ConsumeBytesAsString(data.ConsumeIntegralInRange(1, 16));
    for (size_t i = 0; i < size * element; ++i) bytes_ += pattern.empty() ? 0 : pattern[i % pattern.size()];
  }

  std::string bytes_;
  std::map<std::string, FileWeights::Tensor> tensors_;
};

constexpr int kSamples = 2;

void run_generator(FuzzedDataProvider& data, const std::shared_ptr<Backend>& backend, WeightFormat format) {
  const GeneratorConfig config = to_generator(data);
  const Weights weights(data, tensors_of<Generator>(config));
  FileWeights source = weights.source();
  const auto generator = load_model<Generator>(backend, config, source, format);
  const int class_id = config.classes.rows > 0 ? 0 : config.codebook_size;
  const int mask = config.codebook_size + 1;
  const size_t tokens = static_cast<size_t>(kSamples) * config.token_count;
  SessionOptions options{.ids = std::vector<int32_t>(tokens, mask),
                         .masked = std::vector<uint8_t>(tokens, 1),
                         .turns = {},
                         .class_ids = std::vector<int32_t>(kSamples, class_id),
                         .null_class_id = std::nullopt,
                         .sample_numbers = {0, 1},
                         .seeds = {1, 2}};
  if (data.ConsumeBool()) options.null_class_id = class_id;
  Session session(generator, options);
  const BlockConfig& block = config.transformer.block;
  for (int step = 0; step < 3; ++step) {
    const Width width{data.ConsumeIntegralInRange(1, block.heads),
                      data.ConsumeIntegralInRange(1, block.intermediate_size)};
    session.compute(width, true, data.ConsumeBool());
    session.compute(width, data.ConsumeBool(), data.ConsumeBool());
    std::vector<int32_t> revealed(tokens);
    for (int32_t& token : revealed) token = data.ConsumeIntegralInRange(-1, config.codebook_size - 1);
    session.reveal(revealed);
  }
}

template <class Kind, class Config>
void run_codec(FuzzedDataProvider& data, const std::shared_ptr<Backend>& backend, WeightFormat format,
               const Config& config, size_t sample_size, int codebook_size) {
  const Weights weights(data, tensors_of<Kind>(config));
  FileWeights source = weights.source();
  const auto codec = load_model<Kind>(backend, config, source, format);
  const Codec::Latents latents = codec->encode(std::vector<float>(sample_size, 0.5f), 1);
  const Codec::Tokens tokens = codec->quantize(latents.values, 1);
  for (const int32_t token : tokens.values) {
    if (token < 0 || token >= codebook_size) abort();
  }
  codec->detokenize(tokens.values, 1);
}

void run_model(FuzzedDataProvider& data, const std::shared_ptr<Backend>& backend, WeightFormat format) {
  switch (data.ConsumeIntegralInRange(0, 3)) {
    case 0:
      return run_generator(data, backend, format);
    case 1: {
      const VitConfig config = to_vit(data);
      return run_codec<Vit>(data, backend, format, config, config.sample_size(), config.codebook_size);
    }
    case 2: {
      const ConvConfig config = to_conv(data);
      return run_codec<Conv>(data, backend, format, config, config.levels.sample_size(), config.codebook_size);
    }
    default: {
      const TitokConfig config = to_titok(data);
      return run_codec<Titok>(data, backend, format, config, config.vit.sample_size(), config.vit.codebook_size);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const std::vector<std::string> sets = cpu::instruction_sets();
  FuzzedDataProvider data(bytes, size);
  const std::shared_ptr<Backend> backend =
      cpu::open_cpu(data.ConsumeIntegralInRange(1, 2), sets[data.ConsumeIntegralInRange<size_t>(0, sets.size() - 1)]);
  using Values = WeightFormat::Values;
  const WeightFormat format{data.PickValueInArray({Values::f32, Values::bf16, Values::int8})};
  try {
    run_model(data, backend, format);
  } catch (const Error& error) {
    if (std::strcmp(error.code.c_str(), "ERR_CHECKPOINT") != 0 && std::strcmp(error.code.c_str(), "ERR_NUMERIC") != 0)
      throw;
  }
  return 0;
}
