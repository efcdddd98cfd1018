#include "titok.h"

#include <algorithm>

#include "all_rows.h"
#include "codes.h"
#include "patches.h"

namespace magnets {

namespace {

/// Between a row and the scores of what it is mixed of, in multiples of the row.
constexpr int kMixtureExpansion = 2;

/// i32 [1, sequences * count]: of every sequence the rows first .. first + count.
std::unique_ptr<Buffer> rows_of_sequences(Backend& backend, int sequences, int positions, int first, int count) {
  std::vector<int32_t> rows;
  for (int i = 0; i < sequences * count; ++i) rows.push_back(i / count * positions + first + i % count);
  return upload_new(backend, *backend.stream(), ElementType::i32, 1, sequences * count, rows);
}

/// The patches of each sample among the rows of its sequence, the others zeros.
std::vector<float> patches_among_rows(const TitokConfig& config, const float* pixels, int samples) {
  const size_t sequence = static_cast<size_t>(config.positions()) * config.vit.patch_size();
  std::vector<float> rows(samples * sequence);
  for (int i = 0; i < samples; ++i) {
    const std::vector<float> patches = to_patches(config.vit, pixels + i * config.vit.sample_size(), 1);
    std::copy(patches.begin(), patches.end(), rows.begin() + i * sequence + config.vit.patch_size());
  }
  return rows;
}

/// The numbers of a sequence's latents [N, d], read as a matrix [d, N], transposed: what TiTok's encoder was trained
/// with.
void transpose_as_columns(std::vector<float>& latents, int count, int d) {
  std::vector<float> columns(static_cast<size_t>(count) * d);
  for (auto first = latents.begin(); first != latents.end(); first += columns.size()) {
    std::copy_n(first, columns.size(), columns.begin());
    for (size_t i = 0; i < columns.size(); ++i) first[i % count * d + i / count] = columns[i];
  }
}

}  // namespace

Titok::Titok(std::shared_ptr<Backend> backend, const TitokConfig& config, Loader& loader)
    : Codec(std::move(backend)), config_(config) {
  const VitConfig& vit = config_.vit;
  const int positions = config_.positions(), codes = vit.codebook_size, dim = vit.codebook_dim;
  const int d = vit.encoder.block.hidden_size;
  const float epsilon = vit.encoder.block.norm_eps;

  encoder_input_ = loader.linear("encoder.input", d, vit.patch_size(), false);
  encoder_positions_ = loader.matrix("encoder.position.weight", positions, d, ElementType::activation);
  encoder_input_norm_ = loader.norm("encoder.input_norm", d, epsilon);
  encoder_ = std::make_unique<Transformer>(vit.encoder, "encoder.", Grain::fine, loader);
  encoder_output_ = loader.linear("encoder.output", dim, d);

  codebook_ = std::make_unique<Codebook>(loader, Quantizer::cosine, codes, dim);
  const std::vector<float> weight = loader.values("decoder.input.weight", {d, dim});
  const std::vector<float> bias = loader.values("decoder.input.bias", {d});
  std::vector<float> inputs = project_codes(codebook_->take_vectors(), dim, weight, bias);
  inputs.resize(static_cast<size_t>(codes + 1) * d);
  code_inputs_ = loader.table(inputs, codes + 1, d);
  decoder_positions_ = loader.matrix("decoder.position.weight", positions, d, ElementType::f32);
  decoder_input_norm_ = loader.norm("decoder.input_norm", d, epsilon);
  decoder_ = std::make_unique<Transformer>(vit.decoder, "decoder.", Grain::fine, loader);

  load_mixture(loader);
  pixels_ = std::make_unique<ConvDecoder>(loader, config_.levels, config_.decoder, "pixels.");
  bytes_ = loader.bytes();
}

void Titok::load_mixture(Loader& loader) {
  const int d = config_.vit.decoder.block.hidden_size, codes = config_.pixel_codes;
  const int channels = config_.decoder.code_channels;
  mixture_hidden_ = loader.linear("mixture.hidden", kMixtureExpansion * d, d);
  mixture_scores_ = loader.linear("mixture.scores", codes, kMixtureExpansion * d);
  const std::vector<float> vectors = loader.values("mixture.codebook.weight", {codes, channels});
  std::vector<float> columns(vectors.size());
  for (size_t i = 0; i < vectors.size(); ++i) columns[i % channels * codes + i / channels] = vectors[i];
  mixture_ = loader.linear(columns, {}, channels, codes);
}

Codec::Latents Titok::do_encode(PictureMemory&, const std::vector<float>& pixels, int count,
                                const StopFlag* stop) const {
  const VitConfig& vit = config_.vit;
  check_size(pixels.size(), count, vit.sample_size());
  const int positions = config_.positions(), latents = config_.latents, first_latent = positions - latents;
  const int d = vit.encoder.block.hidden_size, patch = vit.patch_size(), dim = vit.codebook_dim;
  const int at_once = std::min(count, sequences_at_once(positions)), capacity = at_once * positions;
  Workspace workspace(*backend_, vit.encoder, capacity, at_once);
  const auto patches = backend_->allocate(ElementType::activation, capacity, patch);
  const auto embedded = backend_->allocate(ElementType::activation, capacity, d);
  const auto found = backend_->allocate(ElementType::activation, at_once * latents, d);
  const auto codes = backend_->allocate(ElementType::activation, at_once * latents, dim);
  const auto latent_rows = rows_of_sequences(*backend_, at_once, positions, first_latent, latents);
  const auto cache = encoder_->cache(*backend_, at_once, positions);
  const AllRows all(*backend_, at_once, positions);
  const auto stream = backend_->stream(stop);
  std::vector<float> values(static_cast<size_t>(count) * latents * dim);

  for (int first = 0; first < count; first += at_once) {
    const int sequences = std::min(at_once, count - first), latent_count = sequences * latents;
    const Rows rows = all.rows(sequences);
    const std::vector<float> flat = patches_among_rows(config_, &pixels[first * vit.sample_size()], sequences);
    stream->upload(flat.data(), rows.count, patch, *patches);

    const Input input{*embedded};
    stream->run(Gather{
        .x = {*encoder_positions_}, .index = all.positions(), .count = rows.count, .columns = d, .y = *embedded});
    stream->run(Matmul{.layer = *encoder_input_,
                       .out = d,
                       .in = patch,
                       .x = {*patches},
                       .rows = rows.count,
                       .residual = &input,
                       .y = *embedded});
    stream->run(Gather{.x = {*embedded, &encoder_input_norm_},
                       .index = rows.index,
                       .count = rows.count,
                       .columns = d,
                       .y = *workspace.x});
    const Input encoded = encoder_->run(vit.encoder.block.full_width(), rows, *cache, workspace, *stream);
    stream->run(Gather{.x = encoded, .index = *latent_rows, .count = latent_count, .columns = d, .y = *found});
    std::vector<float> columns(static_cast<size_t>(latent_count) * d);
    stream->download(*found, latent_count, d, columns.data());
    transpose_as_columns(columns, latents, d);
    stream->upload(columns.data(), latent_count, d, *found);

    stream->run(
        Matmul{.layer = *encoder_output_, .out = dim, .in = d, .x = {*found}, .rows = latent_count, .y = *codes});
    stream->download(*codes, latent_count, dim, &values[static_cast<size_t>(first) * latents * dim]);
  }
  return {std::move(values), stream->flops().total()};
}

/// Every patch's row chooses, by a softmax, what its place on the coarsest level of the canvas is mixed of.
void Titok::mix(Backend& backend, Input x, const Buffer& patches, int samples, Canvas& canvas) const {
  const Grid coarse = config_.levels.grid(samples, config_.levels.coarsest());
  const int rows = coarse.rows(), d = config_.vit.decoder.block.hidden_size, hidden = kMixtureExpansion * d;
  const int codes = config_.pixel_codes, channels = config_.decoder.code_channels;
  Stream& stream = canvas.stream();
  Buffer& mixed = canvas.reset(coarse, channels);
  const auto gathered = backend.allocate(ElementType::activation, rows, d);
  const auto half_way = backend.allocate(ElementType::activation, rows, hidden);
  const auto scores = backend.allocate(ElementType::f32, rows, codes);
  const auto shares = backend.allocate(ElementType::activation, rows, codes);
  const FinishScope finish(stream);
  stream.run(Gather{.x = x, .index = patches, .count = rows, .columns = d, .y = *gathered});
  stream.run(Matmul{.layer = *mixture_hidden_,
                    .out = hidden,
                    .in = d,
                    .x = {*gathered},
                    .rows = rows,
                    .activation = Activation::tanh,
                    .y = *half_way});
  stream.run(
      Matmul{.layer = *mixture_scores_, .out = codes, .in = hidden, .x = {*half_way}, .rows = rows, .y = *scores});
  stream.run(Softmax{.x = *scores, .rows = rows, .columns = codes, .y = *shares});
  stream.run(Matmul{.layer = *mixture_, .out = channels, .in = codes, .x = {*shares}, .rows = rows, .y = mixed});
}

Codec::Pixels Titok::do_detokenize(Backend& backend, PictureMemory& memory, const std::vector<int32_t>& tokens,
                                   int count, const StopFlag* stop) const {
  const VitConfig& vit = config_.vit;
  const int positions = config_.positions(), latents = config_.latents, first_latent = positions - latents;
  check_tokens(tokens, count, latents, vit.codebook_size);
  const int d = vit.decoder.block.hidden_size;
  const int at_once = Canvas::samples_at_once(backend, config_.levels, std::min(count, sequences_at_once(positions)));
  const int capacity = at_once * positions;
  Workspace workspace(backend, vit.decoder, capacity, at_once);
  const auto ids = backend.allocate(ElementType::i32, 1, capacity);
  const auto embedded = backend.allocate(ElementType::activation, capacity, d);
  const auto patch_rows = rows_of_sequences(backend, at_once, positions, 1, vit.token_count());
  const auto made = backend.allocate(ElementType::f32, config_.levels.grid(at_once, 0).rows(), vit.channels);
  const auto cache = decoder_->cache(backend, at_once, positions);
  const AllRows all(backend, at_once, positions);
  Canvas canvas(backend, config_.levels, at_once, memory, stop);
  Stream& stream = canvas.stream();
  std::vector<float> pixels(count * vit.sample_size());

  for (int first = 0; first < count; first += at_once) {
    const int sequences = std::min(at_once, count - first);
    const Rows rows = all.rows(sequences);
    // The class and the patches are their positions alone.
    std::vector<int32_t> shown(rows.count, vit.codebook_size);
    for (int i = 0; i < sequences; ++i) {
      std::copy_n(tokens.begin() + static_cast<size_t>(first + i) * latents, latents,
                  shown.begin() + i * positions + first_latent);
    }
    stream.upload(shown.data(), 1, rows.count, *ids);
    stream.run(Lookup{.table = *code_inputs_,
                      .ids = *ids,
                      .positions = decoder_positions_.get(),
                      .rows = rows.count,
                      .sequence = positions,
                      .columns = d,
                      .y = *embedded});
    stream.run(Gather{.x = {*embedded, &decoder_input_norm_},
                      .index = rows.index,
                      .count = rows.count,
                      .columns = d,
                      .y = *workspace.x});
    const Input decoded = decoder_->run(vit.decoder.block.full_width(), rows, *cache, workspace, stream);
    mix(backend, decoded, *patch_rows, sequences, canvas);
    pixels_->run(canvas, *made);
    stream.download(*made, config_.levels.grid(sequences, 0).rows(), vit.channels, &pixels[first * vit.sample_size()]);
  }
  clamp_pixels(pixels, vit.sample_size());
  return {std::move(pixels), stream.flops().total()};
}

}  // namespace magnets
