// The codec of a config, whichever kind that is of.
#pragma once

#include <memory>
#include <vector>

#include "../config.h"
#include "../weights/loader.h"
#include "codec.h"

namespace magnets {

std::shared_ptr<const Codec> make_codec(const std::shared_ptr<Backend>& backend, const CodecConfig& config,
                                        WeightSource& source, WeightFormat format);

/// One without weights, whose bytes are what they would take in `format`: its memory can be measured, but nothing
/// computed.
std::shared_ptr<const Codec> codec_without_weights(const std::shared_ptr<Backend>& backend, const CodecConfig& config,
                                                   WeightFormat format);

/// Every tensor of such a codec.
std::vector<TensorShape> codec_tensors(const CodecConfig& config);

}  // namespace magnets
