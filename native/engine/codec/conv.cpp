#include "conv.h"

#include <algorithm>

#include "codes.h"

namespace magnets {

Conv::Conv(std::shared_ptr<Backend> backend, const ConvConfig& config, WeightSource& source, WeightFormat format)
    : Codec(std::move(backend)), config_(config) {
  DeviceLoader loader(*backend_, source, format);
  load(loader);
  bytes_ = loader.bytes();
}

std::vector<TensorShape> Conv::tensors(const ConvConfig& config) {
  ListingLoader listing;
  Conv(config).load(listing);
  return listing.take();
}

void Conv::load(Loader& loader) {
  load_encoder(loader);
  load_codes(loader);
  decoder_ = std::make_unique<ConvDecoder>(loader, config_.levels, config_.decoder, "decoder.");
}

void Conv::load_encoder(Loader& loader) {
  const Levels& levels = config_.levels;
  const int coarsest = levels.coarsest();
  int channels = levels.base_channels;
  encoder_input_ = ConvLayer(loader, "encoder.input", channels, levels.channels);
  for (int i = 0; i <= coarsest; ++i) {
    const std::string prefix = numbered("encoder.levels", i);
    encoder_levels_.push_back(Stage::level(loader, levels, prefix, i, config_.encoder_blocks, channels));
    channels = levels.channels_of(i);
    if (config_.downsample == Downsample::convolution && i < coarsest) {
      downsamples_.emplace_back(loader, prefix + "downsample", channels, channels, Resampling::down);
    }
  }
  encoder_middle_ = Stage::middle(loader, levels, "encoder.middle");
  encoder_norm_ = loader.norm("encoder.norm", channels, config_.levels.norm_eps);
  if (config_.encoder_output_kernel == 3) {
    encoder_output_ = ConvLayer(loader, "encoder.output", config_.decoder.code_channels, channels);
  } else {
    encoder_output_1x1_ = loader.linear("encoder.output", config_.decoder.code_channels, channels);
  }
}

void Conv::load_codes(Loader& loader) {
  const int codes = config_.codebook_size, dim = config_.codebook_dim, channels = config_.decoder.code_channels;
  if (channels != dim) encoder_code_ = loader.linear("encoder.code", dim, channels);
  codebook_ = std::make_unique<Codebook>(loader, config_.quantizer, codes, dim);
  std::vector<float> codebook = codebook_->take_vectors();
  if (channels != dim) {
    const std::vector<float> weight = loader.values("decoder.code.weight", {channels, dim});
    codebook = project_codes(codebook, dim, weight, loader.values("decoder.code.bias", {channels}));
  }
  code_inputs_ = loader.table(codebook, codes, channels);
}

std::unique_ptr<Buffer> Conv::encode_samples(Canvas& canvas, const float* pixels, int samples, Stream& stream) const {
  std::vector<float> seen(pixels, pixels + samples * config_.levels.sample_size());
  if (config_.signed_pixels) {
    for (float& value : seen) value = 2 * value - 1;
  }
  const Grid full = config_.levels.grid(samples, 0);
  stream.upload(seen.data(), full.rows(), config_.levels.channels, canvas.reset(full, config_.levels.channels));

  canvas.run(encoder_input_);
  for (int i = 0; i <= config_.levels.coarsest(); ++i) {
    canvas.run(encoder_levels_[i]);
    if (i == config_.levels.coarsest()) break;
    config_.downsample == Downsample::mean ? canvas.pool() : canvas.run(downsamples_[i]);
  }
  canvas.run(encoder_middle_);

  const int rows = canvas.grid().rows(), last = config_.levels.channels_of(config_.levels.coarsest());
  const auto multiply = [&](const Linear& layer, const Buffer& x, int out, int in, ElementType type) {
    auto y = backend_->allocate(type, rows, out);
    stream.run(Matmul{.layer = layer, .out = out, .in = in, .x = {x}, .rows = rows, .y = *y});
    return y;
  };
  // The signs of bits are read on the host.
  const ElementType type = config_.quantizer == Quantizer::bits ? ElementType::f32 : ElementType::activation;
  const ElementType output_type = encoder_code_ != nullptr ? ElementType::activation : type;
  auto latents = encoder_output_1x1_ != nullptr ? multiply(*encoder_output_1x1_, canvas.activate(encoder_norm_),
                                                           config_.decoder.code_channels, last, output_type)
                                                : canvas.finish(encoder_norm_, encoder_output_, output_type);
  if (encoder_code_ == nullptr) return latents;
  auto codes = multiply(*encoder_code_, *latents, config_.codebook_dim, config_.decoder.code_channels, type);
  stream.synchronize();  // before the latents go
  return codes;
}

Codec::Latents Conv::do_encode(const std::vector<float>& pixels, int count) const {
  check_size(pixels.size(), count, config_.levels.sample_size());
  const int at_once = Canvas::samples_at_once(config_.levels, count), dim = config_.codebook_dim;
  const size_t sample = static_cast<size_t>(config_.token_count()) * dim;
  std::vector<float> values(count * sample);
  const auto stream = backend_->stream();
  Canvas canvas(*backend_, *stream, config_.levels, at_once);
  for (int first = 0; first < count; first += at_once) {
    const int samples = std::min(at_once, count - first);
    const auto latents = encode_samples(canvas, &pixels[first * config_.levels.sample_size()], samples, *stream);
    stream->download(*latents, samples * config_.token_count(), dim, &values[first * sample]);
  }
  return {std::move(values), stream->flops().total()};
}

std::unique_ptr<Buffer> Conv::decode(Backend& backend, Canvas& canvas, const int32_t* tokens, int samples,
                                     Stream& stream) const {
  const Grid coarse = config_.levels.grid(samples, config_.levels.coarsest());
  const auto ids = backend.allocate(ElementType::i32, 1, coarse.rows());
  stream.upload(tokens, 1, coarse.rows(), *ids);
  stream.run(Lookup{.table = *code_inputs_,
                    .ids = *ids,
                    .rows = coarse.rows(),
                    .columns = config_.decoder.code_channels,
                    .y = canvas.reset(coarse, config_.decoder.code_channels)});

  return decoder_->run(canvas);
}

Codec::Pixels Conv::do_detokenize(Backend& backend, const std::vector<int32_t>& tokens, int count) const {
  const int positions = config_.token_count();
  check_tokens(tokens, count, positions, config_.codebook_size);
  const int at_once = Canvas::samples_at_once(config_.levels, count);
  std::vector<float> pixels(count * config_.levels.sample_size());
  const auto stream = backend.stream();
  Canvas canvas(backend, *stream, config_.levels, at_once);
  for (int first = 0; first < count; first += at_once) {
    const int samples = std::min(at_once, count - first);
    const auto decoded = decode(backend, canvas, &tokens[static_cast<size_t>(first) * positions], samples, *stream);
    stream->download(*decoded, config_.levels.grid(samples, 0).rows(), config_.levels.channels,
                     &pixels[first * config_.levels.sample_size()]);
  }
  clamp_pixels(pixels, config_.levels.sample_size());
  return {std::move(pixels), stream->flops().total()};
}

}  // namespace magnets
