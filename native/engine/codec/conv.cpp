#include "conv.h"

#include <algorithm>

#include "codes.h"

namespace magnets {

Conv::Conv(std::shared_ptr<Backend> backend, const ConvConfig& config, Loader& loader)
    : Codec(std::move(backend)), config_(config) {
  load_encoder(loader);
  load_codes(loader);
  decoder_ = std::make_unique<ConvDecoder>(loader, config_.levels, config_.decoder, "decoder.");
  bytes_ = loader.bytes();
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

/// Latents of the samples, [samples * N, codebook_dim].
std::unique_ptr<Buffer> Conv::encode_samples(Canvas& canvas, const float* pixels, int samples) const {
  const Levels& levels = config_.levels;
  const Grid full = levels.grid(samples, 0), coarse = levels.grid(samples, levels.coarsest());
  const int rows = coarse.rows(), dim = config_.codebook_dim, channels = config_.decoder.code_channels;
  Stream& stream = canvas.stream();
  std::vector<float> seen(pixels, pixels + samples * levels.sample_size());
  if (config_.signed_pixels) {
    for (float& value : seen) value = 2 * value - 1;
  }
  stream.upload(seen.data(), full.rows(), levels.channels, canvas.reset(full, levels.channels));

  canvas.run(encoder_input_);
  for (int i = 0; i <= levels.coarsest(); ++i) {
    canvas.run(encoder_levels_[i]);
    if (i == levels.coarsest()) break;
    if (config_.downsample == Downsample::mean) {
      canvas.pool();
    } else {
      canvas.run(downsamples_[i]);
    }
  }
  canvas.run(encoder_middle_);

  // The signs of bits are read on the host.
  const ElementType type = config_.quantizer == Quantizer::bits ? ElementType::f32 : ElementType::activation;
  const auto multiply = [&](const Linear& layer, const Buffer& x, int out, int in, Buffer& y) {
    stream.run(Matmul{.layer = layer, .out = out, .in = in, .x = {x}, .rows = rows, .y = y});
  };
  const bool projects = encoder_code_ != nullptr;
  auto latents = backend_->allocate(type, rows, dim);
  auto output = projects ? backend_->allocate(ElementType::activation, rows, channels) : nullptr;
  Buffer& found = projects ? *output : *latents;
  const FinishScope finish(stream);
  if (encoder_output_1x1_ != nullptr) {
    multiply(*encoder_output_1x1_, canvas.activate(encoder_norm_), channels, levels.channels_of(levels.coarsest()),
             found);
  } else {
    canvas.finish(encoder_norm_, encoder_output_, found);
  }
  if (projects) multiply(*encoder_code_, found, dim, channels, *latents);
  return latents;
}

Codec::Latents Conv::do_encode(PictureMemory& memory, const std::vector<float>& pixels, int count,
                               const StopFlag* stop) const {
  check_size(pixels.size(), count, config_.levels.sample_size());
  const int at_once = Canvas::samples_at_once(*backend_, config_.levels, count), dim = config_.codebook_dim;
  const size_t sample = static_cast<size_t>(config_.token_count()) * dim;
  std::vector<float> values(count * sample);
  Canvas canvas(*backend_, config_.levels, at_once, memory, stop);
  for (int first = 0; first < count; first += at_once) {
    const int samples = std::min(at_once, count - first);
    const auto latents = encode_samples(canvas, &pixels[first * config_.levels.sample_size()], samples);
    canvas.stream().download(*latents, samples * config_.token_count(), dim, &values[first * sample]);
  }
  return {std::move(values), canvas.stream().flops().total()};
}

Codec::Pixels Conv::do_detokenize(Backend& backend, PictureMemory& memory, const std::vector<int32_t>& tokens,
                                  int count, const StopFlag* stop) const {
  const Levels& levels = config_.levels;
  const int positions = config_.token_count(), channels = config_.decoder.code_channels;
  check_tokens(tokens, count, positions, config_.codebook_size);
  const int at_once = Canvas::samples_at_once(backend, levels, count);
  const auto ids = backend.allocate(ElementType::i32, 1, at_once * positions);
  const auto decoded = backend.allocate(ElementType::f32, levels.grid(at_once, 0).rows(), levels.channels);
  std::vector<float> pixels(count * levels.sample_size());
  Canvas canvas(backend, levels, at_once, memory, stop);
  Stream& stream = canvas.stream();
  for (int first = 0; first < count; first += at_once) {
    const int samples = std::min(at_once, count - first), rows = samples * positions;
    stream.upload(&tokens[static_cast<size_t>(first) * positions], 1, rows, *ids);
    stream.run(Lookup{.table = *code_inputs_,
                      .ids = *ids,
                      .rows = rows,
                      .columns = channels,
                      .y = canvas.reset(levels.grid(samples, levels.coarsest()), channels)});
    decoder_->run(canvas, *decoded);
    stream.download(*decoded, levels.grid(samples, 0).rows(), levels.channels, &pixels[first * levels.sample_size()]);
  }
  clamp_pixels(pixels, levels.sample_size());
  return {std::move(pixels), stream.flops().total()};
}

}  // namespace magnets
