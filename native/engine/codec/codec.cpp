#include "codec.h"

#include <utility>

#include "../measuring_backend.h"
#include "codes.h"

namespace magnets {

namespace {

/// Of a picture of 256 x 256 with 128 channels and not of larger ones, nor of batches.
constexpr size_t kMostKept = size_t{128} << 20;

}  // namespace

/// Takes the memory that is kept, and leaves there what it has in the end.
class Codec::Call {
 public:
  explicit Call(const Codec& codec) : codec_(codec) {
    const std::lock_guard lock(codec.mutex_);
    memory = std::exchange(codec.kept_, {});
  }
  ~Call() {
    if (memory.bytes() > kMostKept) return;
    const std::lock_guard lock(codec_.mutex_);
    std::swap(codec_.kept_, memory);
  }
  Call(const Call&) = delete;

  PictureMemory memory;

 private:
  const Codec& codec_;
};

Codec::Latents Codec::encode(const std::vector<float>& pixels, int count, const StopFlag* stop) const {
  Call call(*this);
  Latents latents = do_encode(call.memory, pixels, count, stop);
  check_latents(latents.values, codebook_->dim());
  return latents;
}

Codec::Tokens Codec::quantize(const std::vector<float>& latents, int count) const {
  check_size(latents.size(), count, static_cast<size_t>(tokens_of_sample()) * codebook_->dim());
  const auto stream = backend_->stream();
  std::vector<int32_t> tokens = codebook_->nearest(*backend_, *stream, latents);
  return {std::move(tokens), stream->flops().total()};
}

Codec::Pixels Codec::detokenize(const std::vector<int32_t>& tokens, int count, const StopFlag* stop) const {
  Call call(*this);
  return do_detokenize(*backend_, call.memory, tokens, count, stop);
}

size_t Codec::detokenize_bytes(int count) const {
  MeasuringBackend measuring(*backend_);
  PictureMemory memory;
  const std::vector<int32_t> tokens(static_cast<size_t>(count) * tokens_of_sample());
  // The second time in memory that the first has left, which may be in larger pieces than it takes.
  for (int i = 0; i < 2 && memory.bytes() <= kMostKept; ++i) do_detokenize(measuring, memory, tokens, count, nullptr);
  return measuring.most();
}

void Codec::trim() const {
  const std::lock_guard lock(mutex_);
  kept_.clear();
}

}  // namespace magnets
