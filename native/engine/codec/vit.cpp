#include "tokenizer.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "patches.h"

namespace magnets {

namespace {

/// Sequences of a batch that run at once: enough rows to fill the device, little enough memory.
constexpr int kRowsAtOnce = 4096;

/// Every position of up to `most` sequences, as the rows of one pass.
class AllRows {
 public:
  AllRows(Backend& backend, int most, int positions) : positions_(positions) {
    std::vector<int32_t> index(static_cast<size_t>(most) * positions);
    std::iota(index.begin(), index.end(), 0);
    index_ = place(backend, *backend.stream(), ElementType::i32, 1, most * positions, index);
  }
  /// Valid until the next call.
  Rows of(int count) {
    start_.resize(count + 1);
    for (int i = 0; i <= count; ++i) start_[i] = i * positions_;
    return {*index_, start_, positions_};
  }

 private:
  std::unique_ptr<Buffer> index_;
  std::vector<int> start_;
  int positions_;
};

int sequences_at_once(int tokens) { return std::max(1, kRowsAtOnce / tokens); }

void check_size(size_t actual, int count, int size) {
  const size_t expected = static_cast<size_t>(std::max(0, count)) * size;
  if (count > 0 && actual == expected) return;
  throw Error("ERR_ARGUMENT",
              "expected " + std::to_string(expected) + " values but received " + std::to_string(actual));
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<Backend> backend, const TokenizerConfig& config, WeightSource& source, DType dtype)
    : backend_(std::move(backend)), config_(config) {
  Loader loader(*backend_, source, dtype);
  const int tokens = config.tokens();
  const int dim = config.codebook_dim;
  const int d = config.encoder.hidden_size;

  encoder_input_ = loader.linear("encoder.input", d, config.patch_size());
  encoder_positions_ = loader.matrix("encoder.position.weight", tokens, d);
  encoder_ = std::make_unique<Transformer>(config.encoder, "encoder.", loader);
  encoder_output_ = loader.linear("encoder.output", dim, d);

  // |z - c|² = |z|² - 2 (z · c - |c|² / 2)
  const std::vector<float> codebook = loader.host("codebook.weight", config.codebook_size, dim);
  std::vector<float> half_norms(config.codebook_size);
  for (int code = 0; code < config.codebook_size; ++code) {
    const float* c = &codebook[static_cast<size_t>(code) * dim];
    half_norms[code] = static_cast<float>(-0.5 * std::inner_product(c, c + dim, c, 0.0));
  }
  nearest_code_ = loader.linear(codebook, half_norms, config.codebook_size, dim);

  const std::vector<float> weight = loader.host("decoder.input.weight", d, dim);
  const std::vector<float> bias = loader.host("decoder.input.bias", 1, d);
  std::vector<float> table(static_cast<size_t>(config.codebook_size) * d);
  for (int code = 0; code < config.codebook_size; ++code) {
    const float* c = &codebook[static_cast<size_t>(code) * dim];
    for (int i = 0; i < d; ++i) {
      const double input = std::inner_product(c, c + dim, &weight[static_cast<size_t>(i) * dim], 0.0);
      table[static_cast<size_t>(code) * d + i] = static_cast<float>(input + bias[i]);
    }
  }
  code_input_ = loader.linear(table, {}, config.codebook_size, d);
  decoder_positions_ = loader.matrix("decoder.position.weight", tokens, d);
  decoder_ = std::make_unique<Transformer>(config.decoder, "decoder.", loader);
  decoder_output_ = loader.linear("decoder.output", config.patch_size(), d);
}

std::vector<int32_t> Tokenizer::encode(const std::vector<float>& pixels, int count, Flops& flops) const {
  check_size(pixels.size(), count, config_.sample_size());
  const int tokens = config_.tokens();
  const int d = config_.encoder.hidden_size;
  const int at_once = std::min(count, sequences_at_once(tokens));
  const int capacity = at_once * tokens;
  Workspace workspace(*backend_, config_.encoder, capacity);
  auto patches = backend_->allocate(ElementType::activation, capacity, config_.patch_size());
  auto codes = backend_->allocate(ElementType::activation, capacity, config_.codebook_dim);
  auto scores = backend_->allocate(ElementType::f32, capacity, config_.codebook_size);
  auto nearest = backend_->allocate(ElementType::i32, 1, capacity);
  auto cache = encoder_->cache(*backend_, at_once, tokens);
  AllRows all(*backend_, at_once, tokens);
  auto stream = backend_->stream();
  std::vector<int32_t> result(static_cast<size_t>(count) * tokens);

  for (int first = 0; first < count; first += at_once) {
    const int sequences = std::min(at_once, count - first);
    const Rows rows = all.of(sequences);
    const int n = rows.count();
    const std::vector<float> flat =
        to_patches(config_, &pixels[static_cast<size_t>(first) * config_.sample_size()], sequences);
    stream->upload(flat.data(), n, config_.patch_size(), *patches);

    stream->embed(nullptr, *encoder_positions_, nullptr, nullptr, sequences, rows, nullptr, d, *workspace.x);
    stream->linear(*encoder_input_, d, config_.patch_size(), *patches, n, Epilogue::add, Part::codec, *workspace.x);
    encoder_->run(config_.encoder.full_width(), rows, *cache, workspace, *stream, true);
    if (const Norm* norm = encoder_->final_norm()) stream->layer_norm(*workspace.x, *norm, n, d, *workspace.x);
    stream->linear(*encoder_output_, config_.codebook_dim, d, *workspace.x, n, Epilogue::store, Part::codec, *codes);
    stream->linear(*nearest_code_, config_.codebook_size, config_.codebook_dim, *codes, n, Epilogue::store, Part::codec,
                   *scores);
    stream->argmax(*scores, n, config_.codebook_size, *nearest);
    stream->download(*nearest, 1, n, &result[static_cast<size_t>(first) * tokens]);
  }
  flops += stream->flops;
  return result;
}

std::vector<float> Tokenizer::decode(const std::vector<int32_t>& tokens, int count, Flops& flops) const {
  const int length = config_.tokens();
  const int d = config_.decoder.hidden_size;
  check_size(tokens.size(), count, length);
  const bool valid = std::all_of(tokens.begin(), tokens.end(),
                                 [&](int32_t token) { return token >= 0 && token < config_.codebook_size; });
  if (!valid) throw Error("ERR_ARGUMENT", "expected tokens below " + std::to_string(config_.codebook_size));

  const int at_once = std::min(count, sequences_at_once(length));
  const int capacity = at_once * length;
  Workspace workspace(*backend_, config_.decoder, capacity);
  auto ids = backend_->allocate(ElementType::i32, at_once, length);
  auto patches = backend_->allocate(ElementType::f32, capacity, config_.patch_size());
  auto cache = decoder_->cache(*backend_, at_once, length);
  AllRows all(*backend_, at_once, length);
  auto stream = backend_->stream();
  std::vector<float> result(static_cast<size_t>(count) * config_.sample_size());

  for (int first = 0; first < count; first += at_once) {
    const int sequences = std::min(at_once, count - first);
    const Rows rows = all.of(sequences);
    const int n = rows.count();
    stream->upload(&tokens[static_cast<size_t>(first) * length], sequences, length, *ids);

    stream->embed(code_input_.get(), *decoder_positions_, ids.get(), nullptr, sequences, rows, nullptr, d,
                  *workspace.x);
    decoder_->run(config_.decoder.full_width(), rows, *cache, workspace, *stream, true);
    if (const Norm* norm = decoder_->final_norm()) stream->layer_norm(*workspace.x, *norm, n, d, *workspace.x);
    stream->linear(*decoder_output_, config_.patch_size(), d, *workspace.x, n, Epilogue::store, Part::codec, *patches);
    std::vector<float> flat(static_cast<size_t>(n) * config_.patch_size());
    stream->download(*patches, n, config_.patch_size(), flat.data());
    from_patches(config_, flat, sequences, &result[static_cast<size_t>(first) * config_.sample_size()]);
  }
  flops += stream->flops;
  return result;
}

}  // namespace magnets
