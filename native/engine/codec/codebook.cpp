#include "codebook.h"

#include <algorithm>

#include "codes.h"

namespace magnets {

namespace {

/// Scores of one product: 64 MiB.
constexpr int kScoresAtOnce = 1 << 24;

/// The token whose bits are set where the latent is positive, the least significant first.
int32_t signs(const float* latent, int bits) {
  int32_t token = 0;
  for (int bit = 0; bit < bits; ++bit) token |= (latent[bit] > 0) << bit;
  return token;
}

}  // namespace

Codebook::Codebook(Loader& loader, Quantizer quantizer, int codes, int dim) : codes_(codes), dim_(dim) {
  if (quantizer == Quantizer::bits) {
    vectors_ = sign_codes(dim);
    return;
  }
  vectors_ = loader.values("codebook.weight", {codes, dim});
  const bool cosine = quantizer == Quantizer::cosine;
  if (cosine) vectors_ = normalized_codes(std::move(vectors_), dim);
  scores_ = loader.linear(vectors_, cosine ? std::vector<float>() : negative_half_norms(vectors_, dim), codes, dim);
}

std::vector<int32_t> Codebook::nearest(Backend& backend, Stream& stream, const std::vector<float>& latents) const {
  const int rows = static_cast<int>(latents.size() / dim_);
  std::vector<int32_t> tokens(rows);
  if (scores_ == nullptr) {
    for (int row = 0; row < rows; ++row) tokens[row] = signs(&latents[static_cast<size_t>(row) * dim_], dim_);
    return tokens;
  }
  const int at_once = std::clamp(kScoresAtOnce / codes_, 1, rows);
  const auto seen = backend.allocate(ElementType::activation, at_once, dim_);
  const auto scores = backend.allocate(ElementType::f32, at_once, codes_);
  const auto best = backend.allocate(ElementType::i32, 1, at_once);
  const FinishScope finish(stream);
  for (int first = 0; first < rows; first += at_once) {
    const int count = std::min(at_once, rows - first);
    stream.upload(&latents[static_cast<size_t>(first) * dim_], count, dim_, *seen);
    stream.run(Matmul{.layer = *scores_, .out = codes_, .in = dim_, .x = {*seen}, .rows = count, .y = *scores});
    stream.run(ArgMax{.x = *scores, .rows = count, .columns = codes_, .index = *best});
    stream.download(*best, 1, count, &tokens[first]);
  }
  return tokens;
}

}  // namespace magnets
