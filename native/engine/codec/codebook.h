// The codes of a codec, and which of them is nearest to what an encoder says.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "../config.h"
#include "../weights/loader.h"

namespace magnets {

class Codebook {
 public:
  /// Of `codes` codes of `dim` numbers each: "codebook.weight", but bits have none.
  Codebook(Loader& loader, Quantizer quantizer, int codes, int dim);

  /// What tokens stand for, [codes, dim]; the codes themselves or, where the cosine counts, these divided by their
  /// length. For the constructor of a codec: gone afterwards.
  std::vector<float> take_vectors() { return std::move(vectors_); }

  int dim() const { return dim_; }

  /// The token of each of latents [rows, dim].
  std::vector<int32_t> nearest(Backend& backend, Stream& stream, const std::vector<float>& latents) const;

 private:
  int codes_, dim_;
  std::vector<float> vectors_;
  std::unique_ptr<Linear> scores_;  // [codes, dim], largest for the latent's token; null for bits
};

}  // namespace magnets
