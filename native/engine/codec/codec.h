// Pixels to tokens, by way of latents, and back. What a generator's tokens mean is the codec's affair alone.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "../../ops/backend.h"
#include "codebook.h"
#include "picture_memory.h"

namespace magnets {

class Codec {
 public:
  virtual ~Codec() = default;

  struct Latents {
    std::vector<float> values;  // [count, N, codebook_dim]
    uint64_t flops;
  };
  /// What chooses the tokens of pixels [count, frames, height, width, channels] in [0, 1]. Throws ERR_NUMERIC where it
  /// is not finite, ERR_DISPOSED once `stop` says so.
  Latents encode(const std::vector<float>& pixels, int count, const StopFlag* stop = nullptr) const;

  struct Tokens {
    std::vector<int32_t> values;  // [count, N]
    uint64_t flops;
  };
  /// latents: [count, N, codebook_dim].
  Tokens quantize(const std::vector<float>& latents, int count) const;

  struct Pixels {
    std::vector<float> values;  // [count, frames, height, width, channels] in [0, 1]
    uint64_t flops;
  };
  /// tokens: [count, N] of the codebook. Throws ERR_NUMERIC for pixels that are not finite, ERR_DISPOSED once `stop`
  /// says so.
  Pixels detokenize(const std::vector<int32_t>& tokens, int count, const StopFlag* stop = nullptr) const;

  /// Device memory of the weights.
  size_t bytes() const { return bytes_; }
  /// Device memory that detokenizing so many samples takes at most.
  size_t detokenize_bytes(int count) const;

  /// Frees the memory of pictures that is kept for the next call, where it is little. Thread-safe.
  void trim() const;

 protected:
  explicit Codec(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  virtual Latents do_encode(PictureMemory& memory, const std::vector<float>& pixels, int count,
                            const StopFlag* stop) const = 0;
  /// `backend` is the codec's own, or one that measures.
  virtual Pixels do_detokenize(Backend& backend, PictureMemory& memory, const std::vector<int32_t>& tokens, int count,
                               const StopFlag* stop) const = 0;
  /// N.
  virtual int tokens_of_sample() const = 0;

  std::shared_ptr<Backend> backend_;
  std::unique_ptr<Codebook> codebook_;
  size_t bytes_ = 0;

 private:
  class Call;

  mutable std::mutex mutex_;
  mutable PictureMemory kept_;  // by the call that ended last
};

}  // namespace magnets
