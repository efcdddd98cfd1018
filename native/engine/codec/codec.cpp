#include "codec.h"

#include "../measuring_backend.h"
#include "codes.h"

namespace magnets {

Codec::Latents Codec::encode(const std::vector<float>& pixels, int count, const StopFlag* stop) const {
  Latents latents = do_encode(pixels, count, stop);
  check_latents(latents.values, codebook_->dim());
  return latents;
}

Codec::Tokens Codec::quantize(const std::vector<float>& latents, int count) const {
  check_size(latents.size(), count, static_cast<size_t>(tokens_of_sample()) * codebook_->dim());
  const auto stream = backend_->stream();
  std::vector<int32_t> tokens = codebook_->nearest(*backend_, *stream, latents);
  return {std::move(tokens), stream->flops().total()};
}

size_t Codec::detokenize_bytes(int count) const {
  MeasuringBackend measuring(*backend_);
  do_detokenize(measuring, std::vector<int32_t>(static_cast<size_t>(count) * tokens_of_sample()), count, nullptr);
  return measuring.most();
}

}  // namespace magnets
