#include "conv.h"

#include <algorithm>

#include "codes.h"

namespace magnets {

namespace {

/// Values of the largest pictures of one pass: one of 512 x 512 with 128 channels, four of 256 x 256.
constexpr int64_t kValuesAtOnce = int64_t{1} << 25;

std::string numbered(const std::string& name, int number) { return name + "." + std::to_string(number) + "."; }

}  // namespace

Conv::Conv(std::shared_ptr<Backend> backend, const ConvConfig& config, WeightSource& source, WeightFormat format)
    : backend_(std::move(backend)), config_(config) {
  DeviceLoader loader(*backend_, source, format);
  load(loader);
}

std::vector<TensorShape> Conv::tensors(const ConvConfig& config) {
  ListingLoader listing;
  Conv(config).load(listing);
  return listing.take();
}

void Conv::load(Loader& loader) {
  load_encoder(loader);
  load_codes(loader);
  load_decoder(loader);
}

Conv::Stage Conv::level(Loader& loader, const std::string& prefix, int level, int blocks, int in) const {
  Stage stage;
  const int out = config_.channels_of(level);
  for (int i = 0; i < blocks; ++i) {
    stage.blocks.emplace_back(loader, config_, numbered(prefix + "blocks", i), out, i == 0 ? in : out);
    if (config_.attention && level == config_.coarsest()) {
      stage.attentions.emplace_back(loader, config_, numbered(prefix + "attentions", i), out);
    }
  }
  return stage;
}

Conv::Stage Conv::middle(Loader& loader, const std::string& prefix) const {
  Stage stage;
  const int channels = config_.channels_of(config_.coarsest());
  int number = 0;
  stage.blocks.emplace_back(loader, config_, numbered(prefix, number++), channels, channels);
  if (config_.attention) stage.attentions.emplace_back(loader, config_, numbered(prefix, number++), channels);
  stage.blocks.emplace_back(loader, config_, numbered(prefix, number++), channels, channels);
  return stage;
}

void Conv::load_encoder(Loader& loader) {
  const int coarsest = config_.coarsest();
  int channels = config_.base_channels;
  encoder_input_ = ConvLayer(loader, "encoder.input", channels, config_.channels);
  for (int i = 0; i <= coarsest; ++i) {
    const std::string prefix = numbered("encoder.levels", i);
    encoder_levels_.push_back(level(loader, prefix, i, config_.encoder_blocks, channels));
    channels = config_.channels_of(i);
    if (config_.downsample == Downsample::convolution && i < coarsest) {
      downsamples_.emplace_back(loader, prefix + "downsample", channels, channels, Resampling::down);
    }
  }
  encoder_middle_ = middle(loader, "encoder.middle");
  encoder_norm_ = loader.norm("encoder.norm", channels, config_.norm_eps);
  if (config_.encoder_output_kernel == 3) {
    encoder_output_ = ConvLayer(loader, "encoder.output", config_.code_channels, channels);
  } else {
    encoder_output_1x1_ = loader.linear("encoder.output", config_.code_channels, channels);
  }
}

void Conv::load_codes(Loader& loader) {
  const int codes = config_.codebook_size, dim = config_.codebook_dim, channels = config_.code_channels;
  if (channels != dim) encoder_code_ = loader.linear("encoder.code", dim, channels);
  std::vector<float> codebook;
  if (config_.quantizer == Quantizer::bits) {
    codebook = sign_codes(dim);
  } else {
    codebook = loader.values("codebook.weight", {codes, dim});
    const bool cosine = config_.quantizer == Quantizer::cosine;
    if (cosine) codebook = normalized_codes(std::move(codebook), dim);
    code_scores_ =
        loader.linear(codebook, cosine ? std::vector<float>() : negative_half_norms(codebook, dim), codes, dim);
  }
  if (channels != dim) {
    const std::vector<float> weight = loader.values("decoder.code.weight", {channels, dim});
    codebook = project_codes(codebook, dim, weight, loader.values("decoder.code.bias", {channels}));
  }
  code_inputs_ = loader.table(codebook, codes, channels);
}

void Conv::load_decoder(Loader& loader) {
  const int coarsest = config_.coarsest();
  int channels = config_.channels_of(coarsest);
  decoder_input_ = ConvLayer(loader, "decoder.input", channels, config_.code_channels);
  decoder_middle_ = middle(loader, "decoder.middle");
  decoder_levels_.resize(coarsest + 1);
  upsamples_.resize(coarsest);
  for (int i = coarsest; i >= 0; --i) {
    const std::string prefix = numbered("decoder.levels", i);
    decoder_levels_[i] = level(loader, prefix, i, config_.decoder_blocks, channels);
    channels = config_.channels_of(i);
    if (i > 0) upsamples_[i - 1] = ConvLayer(loader, prefix + "upsample", channels, channels, Resampling::up);
  }
  decoder_norm_ = loader.norm("decoder.norm", channels, config_.norm_eps);
  decoder_output_ = ConvLayer(loader, "decoder.output", config_.channels, channels);
}

/// Attention comes after every block, but for the last where it runs out: the middle is block, attention, block.
void Conv::run(const Stage& stage, Canvas& canvas) {
  for (size_t i = 0; i < stage.blocks.size(); ++i) {
    canvas.run(stage.blocks[i]);
    if (i < stage.attentions.size()) canvas.run(stage.attentions[i]);
  }
}

int Conv::samples_at_once(int count) const {
  int64_t most = 1;
  for (int i = 0; i <= config_.coarsest(); ++i) {
    // A level begins, or ends, with the channels of the one beside it.
    const int channels = std::max(config_.channels_of(i), config_.channels_of(std::min(i + 1, config_.coarsest())));
    most = std::max(most, int64_t{config_.grid(1, i).rows()} * channels);
  }
  return static_cast<int>(std::clamp<int64_t>(kValuesAtOnce / most, 1, count));
}

std::unique_ptr<Buffer> Conv::encode(Canvas& canvas, const float* pixels, int samples, Stream& stream) const {
  std::vector<float> seen(pixels, pixels + samples * config_.sample_size());
  if (config_.signed_pixels) {
    for (float& value : seen) value = 2 * value - 1;
  }
  const Grid full = config_.grid(samples, 0);
  stream.upload(seen.data(), full.rows(), config_.channels, canvas.reset(full, config_.channels));

  canvas.run(encoder_input_);
  for (int i = 0; i <= config_.coarsest(); ++i) {
    run(encoder_levels_[i], canvas);
    if (i == config_.coarsest()) break;
    config_.downsample == Downsample::mean ? canvas.pool() : canvas.run(downsamples_[i]);
  }
  run(encoder_middle_, canvas);

  const int rows = canvas.grid().rows(), last = config_.channels_of(config_.coarsest());
  const auto multiply = [&](const Linear& layer, const Buffer& x, int out, int in, ElementType type) {
    auto y = backend_->allocate(type, rows, out);
    stream.run(Matmul{.layer = layer, .out = out, .in = in, .x = {x}, .rows = rows, .y = *y});
    return y;
  };
  // The signs of bits are read on the host.
  const ElementType type = config_.quantizer == Quantizer::bits ? ElementType::f32 : ElementType::activation;
  const ElementType output_type = encoder_code_ != nullptr ? ElementType::activation : type;
  auto latents = encoder_output_1x1_ != nullptr ? multiply(*encoder_output_1x1_, canvas.activate(encoder_norm_),
                                                           config_.code_channels, last, output_type)
                                                : canvas.finish(encoder_norm_, encoder_output_, output_type);
  if (encoder_code_ == nullptr) return latents;
  auto codes = multiply(*encoder_code_, *latents, config_.codebook_dim, config_.code_channels, type);
  stream.synchronize();  // before the latents go
  return codes;
}

void Conv::quantize(const Buffer& latents, int rows, int32_t* tokens, Stream& stream) const {
  const int dim = config_.codebook_dim, codes = config_.codebook_size;
  if (config_.quantizer == Quantizer::bits) {
    std::vector<float> values(static_cast<size_t>(rows) * dim);
    stream.download(latents, rows, dim, values.data());
    for (int row = 0; row < rows; ++row) {
      tokens[row] = 0;
      for (int bit = 0; bit < dim; ++bit) tokens[row] |= (values[static_cast<size_t>(row) * dim + bit] > 0) << bit;
    }
    return;
  }
  const auto scores = backend_->allocate(ElementType::f32, rows, codes);
  const auto nearest = backend_->allocate(ElementType::i32, 1, rows);
  stream.run(Matmul{.layer = *code_scores_, .out = codes, .in = dim, .x = {latents}, .rows = rows, .y = *scores});
  stream.run(ArgMax{.x = *scores, .rows = rows, .columns = codes, .index = *nearest});
  stream.download(*nearest, 1, rows, tokens);
}

Codec::Tokens Conv::tokenize(const std::vector<float>& pixels, int count) const {
  check_size(pixels.size(), count, config_.sample_size());
  const int at_once = samples_at_once(count), positions = config_.token_count();
  std::vector<int32_t> tokens(static_cast<size_t>(count) * positions);
  const auto stream = backend_->stream();
  Canvas canvas(*backend_, *stream, config_, at_once);
  for (int first = 0; first < count; first += at_once) {
    const int samples = std::min(at_once, count - first);
    const auto latents = encode(canvas, &pixels[first * config_.sample_size()], samples, *stream);
    quantize(*latents, samples * positions, &tokens[static_cast<size_t>(first) * positions], *stream);
  }
  return {std::move(tokens), stream->flops().total()};
}

std::unique_ptr<Buffer> Conv::decode(Canvas& canvas, const int32_t* tokens, int samples, Stream& stream) const {
  const Grid coarse = config_.grid(samples, config_.coarsest());
  const auto ids = backend_->allocate(ElementType::i32, 1, coarse.rows());
  stream.upload(tokens, 1, coarse.rows(), *ids);
  stream.run(Lookup{.table = *code_inputs_,
                    .ids = *ids,
                    .rows = coarse.rows(),
                    .columns = config_.code_channels,
                    .y = canvas.reset(coarse, config_.code_channels)});

  canvas.run(decoder_input_);
  run(decoder_middle_, canvas);
  for (int i = config_.coarsest(); i >= 0; --i) {
    run(decoder_levels_[i], canvas);
    if (i > 0) canvas.run(upsamples_[i - 1]);
  }
  return canvas.finish(decoder_norm_, decoder_output_, ElementType::f32);
}

Codec::Pixels Conv::detokenize(const std::vector<int32_t>& tokens, int count) const {
  const int positions = config_.token_count();
  check_tokens(tokens, count, positions, config_.codebook_size);
  const int at_once = samples_at_once(count);
  std::vector<float> pixels(count * config_.sample_size());
  const auto stream = backend_->stream();
  Canvas canvas(*backend_, *stream, config_, at_once);
  for (int first = 0; first < count; first += at_once) {
    const int samples = std::min(at_once, count - first);
    const auto decoded = decode(canvas, &tokens[static_cast<size_t>(first) * positions], samples, *stream);
    stream->download(*decoded, config_.grid(samples, 0).rows(), config_.channels,
                     &pixels[first * config_.sample_size()]);
  }
  for (float& value : pixels) value = std::clamp(value, 0.0f, 1.0f);
  return {std::move(pixels), stream->flops().total()};
}

}  // namespace magnets
