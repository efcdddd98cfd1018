#include "vit.h"

#include <algorithm>

#include "all_rows.h"
#include "codes.h"
#include "patches.h"

namespace magnets {

Vit::Vit(std::shared_ptr<Backend> backend, const VitConfig& config, Loader& loader)
    : Codec(std::move(backend)), config_(config) {
  const int tokens = config_.token_count(), codes = config_.codebook_size, dim = config_.codebook_dim;
  const int d = config_.encoder.block.hidden_size;

  encoder_input_ = loader.linear("encoder.input", d, config_.patch_size());
  encoder_positions_ = loader.matrix("encoder.position.weight", tokens, d, ElementType::activation);
  encoder_ = std::make_unique<Transformer>(config_.encoder, "encoder.", Grain::fine, loader);
  encoder_output_ = loader.linear("encoder.output", dim, d);

  codebook_ = std::make_unique<Codebook>(loader, Quantizer::nearest, codes, dim);
  const std::vector<float> weight = loader.values("decoder.input.weight", {d, dim});
  const std::vector<float> bias = loader.values("decoder.input.bias", {d});
  code_inputs_ = loader.table(project_codes(codebook_->take_vectors(), dim, weight, bias), codes, d);
  decoder_positions_ = loader.matrix("decoder.position.weight", tokens, d, ElementType::f32);
  decoder_ = std::make_unique<Transformer>(config_.decoder, "decoder.", Grain::fine, loader);
  decoder_output_ = loader.linear("decoder.output", config_.patch_size(), d);
  bytes_ = loader.bytes();
}

Codec::Latents Vit::do_encode(PictureMemory&, const std::vector<float>& pixels, int count, const StopFlag* stop) const {
  check_size(pixels.size(), count, config_.sample_size());
  const int positions = config_.token_count(), d = config_.encoder.block.hidden_size, patch = config_.patch_size();
  const int dim = config_.codebook_dim;
  const int at_once = std::min(count, sequences_at_once(positions)), capacity = at_once * positions;
  Workspace workspace(*backend_, config_.encoder, capacity, at_once);
  const auto patches = backend_->allocate(ElementType::activation, capacity, patch);
  const auto latents = backend_->allocate(ElementType::activation, capacity, dim);
  const auto cache = encoder_->cache(*backend_, at_once, positions);
  const AllRows all(*backend_, at_once, positions);
  const auto stream = backend_->stream(stop);
  Buffer& x = *workspace.x;
  std::vector<float> values(static_cast<size_t>(count) * positions * dim);

  for (int first = 0; first < count; first += at_once) {
    const int sequences = std::min(at_once, count - first);
    const Rows rows = all.rows(sequences);
    const std::vector<float> flat = to_patches(config_, &pixels[first * config_.sample_size()], sequences);
    stream->upload(flat.data(), rows.count, patch, *patches);

    const Input input{x};
    stream->run(
        Gather{.x = {*encoder_positions_}, .index = all.positions(), .count = rows.count, .columns = d, .y = x});
    stream->run(Matmul{.layer = *encoder_input_,
                       .out = d,
                       .in = patch,
                       .x = {*patches},
                       .rows = rows.count,
                       .residual = &input,
                       .y = x});
    const Input encoded = encoder_->run(config_.encoder.block.full_width(), rows, *cache, workspace, *stream);
    stream->run(
        Matmul{.layer = *encoder_output_, .out = dim, .in = d, .x = encoded, .rows = rows.count, .y = *latents});
    stream->download(*latents, rows.count, dim, &values[static_cast<size_t>(first) * positions * dim]);
  }
  return {std::move(values), stream->flops().total()};
}

Codec::Pixels Vit::do_detokenize(Backend& backend, PictureMemory&, const std::vector<int32_t>& tokens, int count,
                                 const StopFlag* stop) const {
  const int positions = config_.token_count(), d = config_.decoder.block.hidden_size, patch = config_.patch_size();
  check_tokens(tokens, count, positions, config_.codebook_size);
  const int at_once = std::min(count, sequences_at_once(positions)), capacity = at_once * positions;
  Workspace workspace(backend, config_.decoder, capacity, at_once);
  const auto ids = backend.allocate(ElementType::i32, 1, capacity);
  const auto patches = backend.allocate(ElementType::f32, capacity, patch);
  const auto cache = decoder_->cache(backend, at_once, positions);
  const AllRows all(backend, at_once, positions);
  const auto stream = backend.stream(stop);
  std::vector<float> pixels(count * config_.sample_size());

  for (int first = 0; first < count; first += at_once) {
    const int sequences = std::min(at_once, count - first);
    const Rows rows = all.rows(sequences);
    stream->upload(&tokens[static_cast<size_t>(first) * positions], 1, rows.count, *ids);

    stream->run(Lookup{.table = *code_inputs_,
                       .ids = *ids,
                       .positions = decoder_positions_.get(),
                       .rows = rows.count,
                       .sequence = positions,
                       .columns = d,
                       .y = *workspace.x});
    const Input decoded = decoder_->run(config_.decoder.block.full_width(), rows, *cache, workspace, *stream);
    stream->run(
        Matmul{.layer = *decoder_output_, .out = patch, .in = d, .x = decoded, .rows = rows.count, .y = *patches});
    std::vector<float> flat(static_cast<size_t>(rows.count) * patch);
    stream->download(*patches, rows.count, patch, flat.data());
    from_patches(config_, flat, sequences, &pixels[first * config_.sample_size()]);
  }
  clamp_pixels(pixels, config_.sample_size());
  return {std::move(pixels), stream->flops().total()};
}

}  // namespace magnets
