// Pixels to tokens and back. What a generator's tokens mean is the codec's affair alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../../ops/backend.h"

namespace magnets {

class Codec {
 public:
  virtual ~Codec() = default;

  struct Tokens {
    std::vector<int32_t> values;  // [count, N]
    uint64_t flops;
  };
  /// pixels: [count, frames, height, width, channels] in [0, 1]. Throws ERR_NUMERIC where the numbers that choose a
  /// token are not finite.
  Tokens tokenize(const std::vector<float>& pixels, int count) const { return do_tokenize(*backend_, pixels, count); }

  struct Pixels {
    std::vector<float> values;  // [count, frames, height, width, channels] in [0, 1]
    uint64_t flops;
  };
  /// tokens: [count, N] of the codebook. Throws ERR_NUMERIC for pixels that are not finite.
  Pixels detokenize(const std::vector<int32_t>& tokens, int count) const {
    return do_detokenize(*backend_, tokens, count);
  }

  /// Device memory of the weights.
  size_t bytes() const { return bytes_; }
  /// Device memory that detokenizing so many samples takes at most.
  size_t detokenize_bytes(int count) const;

 protected:
  explicit Codec(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  /// `backend` is the codec's own, or one that measures.
  virtual Tokens do_tokenize(Backend& backend, const std::vector<float>& pixels, int count) const = 0;
  virtual Pixels do_detokenize(Backend& backend, const std::vector<int32_t>& tokens, int count) const = 0;
  /// N.
  virtual int tokens_of_sample() const = 0;

  std::shared_ptr<Backend> backend_;
  size_t bytes_ = 0;
};

}  // namespace magnets
