#include "codec.h"

#include "../measuring_backend.h"

namespace magnets {

size_t Codec::detokenize_bytes(int count) const {
  MeasuringBackend measuring(*backend_);
  do_detokenize(measuring, std::vector<int32_t>(static_cast<size_t>(count) * tokens_of_sample()), count);
  return measuring.most();
}

}  // namespace magnets
