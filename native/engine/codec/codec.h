// Pixels to tokens and back. What a generator's tokens mean is the codec's affair alone.
#pragma once

#include <cstdint>
#include <vector>

namespace magnets {

class Codec {
 public:
  virtual ~Codec() = default;

  struct Tokens {
    std::vector<int32_t> values;  // [count, N]
    uint64_t flops;
  };
  /// pixels: [count, frames, height, width, channels] in [0, 1].
  virtual Tokens tokenize(const std::vector<float>& pixels, int count) const = 0;

  struct Pixels {
    std::vector<float> values;  // [count, frames, height, width, channels] in [0, 1]
    uint64_t flops;
  };
  /// tokens: [count, N] of the codebook.
  virtual Pixels detokenize(const std::vector<int32_t>& tokens, int count) const = 0;
};

}  // namespace magnets
